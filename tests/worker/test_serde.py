"""Strict serialisation: what comes back as it was, and what only as plain data."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel import main
from pydantic import BaseModel

from lineshaft.redis.client import Client
from lineshaft_worker import serde
from lineshaft_worker.checkpoints import RedisSaver

ROOT: Any = {"configurable": {"thread_id": "thread", "checkpoint_ns": ""}}


def test_the_private_switch_of_langgraph_is_where_we_set_it() -> None:
    assert serde.STRICT
    assert main._serde.STRICT_MSGPACK_ENABLED  # type: ignore[attr-defined]  # private: that is what this test is for


async def test_pickled_data_is_not_read(client: Client) -> None:
    with pytest.raises(NotImplementedError, match="pickle"):
        RedisSaver(client).serde.loads_typed(("pickle", b"cos\nsystem\n(S'true'\ntR."))


class Person(BaseModel):
    name: str


class Typed(MessagesState):
    person: Person
    anything: Any


class Stranger(BaseModel):
    name: str


@pytest.mark.parametrize("fenced", [False, True])
async def test_strict_msgpack_rebuilds_messages_and_the_schemas_classes_only(client: Client, fenced: bool) -> None:
    saver = RedisSaver(client)
    graph: Any = StateGraph(Typed)
    answer = AIMessage("hi", id="2", tool_calls=[{"name": "t", "args": {"x": 1}, "id": "c"}], usage_metadata=None)
    graph.add_node("a", lambda _: {"messages": [answer], "person": Person(name="p"), "anything": Stranger(name="s")})
    graph.add_edge(START, "a")
    if fenced:
        await client.redis.execute_command("HSET", client.keys.run("run"), "token", "1.w")
        saver = saver.for_run("run", "1.w")
    compiled = graph.compile()
    compiled.checkpointer = saver  # attached after compilation, as the worker does
    question = HumanMessage("hello", id="1")
    await compiled.ainvoke({"messages": [question]}, ROOT)
    compiled.checkpointer = RedisSaver(client)
    state = await compiled.aget_state(ROOT)
    assert state.values["messages"] == [question, answer]
    assert state.values["person"] == Person(name="p")
    assert state.values["anything"] == {"name": "s"}
