"""What a first attempt passes to its graph."""

import copy
import inspect
from dataclasses import dataclass
from operator import add
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.errors import EmptyInputError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel import Pregel
from langgraph.pregel._algo import should_interrupt
from langgraph.types import Command, Send
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from lineshaft.errors import Invalid, NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.request import Checkpoint, RunConfig
from lineshaft.runs.request import Command as Asked
from lineshaft_worker.attempt import graph_context, plan, run_config
from lineshaft_worker.checkpoints import RedisSaver
from lineshaft_worker.command import command_of
from lineshaft_worker.graphs import Graph

from . import attempt_graphs as graphs
from .crashes import THREAD, Crash, MortalSaver, attempt, claim_of, waiting

HELLO = {"role": "user", "content": "hello"}


def build(builder: Any, **options: Any) -> Graph:
    graph: Graph = builder.compile(checkpointer=MortalSaver(), **options)
    return graph


# the config
def test_the_config_has_the_run_s_ids_and_no_tags_of_ours() -> None:
    claim = claim_of(metadata={"mine": 1, "run_id": "forged"})
    config = run_config(claim)
    assert config["configurable"]["run_id"] == config["metadata"]["run_id"] == claim.run_id
    assert config["metadata"].items() >= {"mine": 1, "thread_id": THREAD, "run_attempt": 1}.items()
    assert "tags" not in config and "recursion_limit" not in config


def test_langgraph_s_own_keys_do_not_come_from_clients() -> None:
    config = RunConfig(configurable={"k": 1, "__pregel_resuming": True, "checkpoint_ns": "x", "checkpoint_id": "y"})
    configurable = run_config(claim_of(config=config))["configurable"]
    assert configurable["k"] == 1
    assert not configurable.keys() & {"__pregel_resuming", "checkpoint_ns", "checkpoint_id"}


async def test_the_checkpoint_is_part_of_the_first_attempt_only() -> None:
    graph = build(graphs.linear())
    claim = claim_of({"log": ["in"]})
    await attempt(claim, graph)
    point = (await graph.aget_state({"configurable": {"thread_id": THREAD}})).config["configurable"]["checkpoint_id"]
    claim = claim_of({"log": ["in"]}, checkpoint=Checkpoint("another thread", None, point, None))
    configurable = (await plan(claim, graph)).config["configurable"]
    assert configurable["checkpoint_id"] == point
    assert configurable["thread_id"] == THREAD
    claim.spec.checkpoint = None
    await attempt(claim, graph)
    claim.spec.checkpoint, claim.wrote = Checkpoint(None, None, point, None), True
    assert "checkpoint_id" not in (await plan(claim, graph)).config["configurable"]


async def test_a_checkpoint_that_has_gone_is_no_fresh_start() -> None:
    claim = claim_of({"log": ["in"]}, checkpoint=Checkpoint(None, None, "gone", None))
    with pytest.raises(NotFound, match="no checkpoint gone any more"):
        await plan(claim, build(graphs.linear()))


async def test_the_recursion_limit_is_the_client_s_or_the_graph_s_or_langgraph_s() -> None:
    graph = build(graphs.linear())
    assert (await plan(claim_of(), graph)).config["recursion_limit"] == 10007
    bound = graph.with_config(recursion_limit=3)
    assert (await plan(claim_of(), bound)).config["recursion_limit"] == 3
    given = claim_of(config=RunConfig(recursion_limit=7, tags=["t"]))
    assert (await plan(given, bound)).config["recursion_limit"] == 7
    assert run_config(given)["tags"] == ["t"]


async def test_a_long_loop_ends_in_mode_events_too() -> None:
    names = [f"n{n}" for n in range(40)]
    graph = build(graphs.chain(*((name, graphs.plain(name)) for name in names)))
    await attempt(claim_of({"log": []}, stream_mode=["events"]), graph)
    assert (await graph.aget_state({"configurable": {"thread_id": THREAD}})).values["log"] == names


# the input
@pytest.mark.parametrize(
    "request_",
    [{"graph_input": {"log": []}}, {"graph_input": "text"}, {"command": {"goto": "a"}}],
)
async def test_a_new_run_reads_nothing(request_: dict[str, Any]) -> None:
    graph = build(graphs.linear())
    planned = await plan(claim_of(**request_), graph)
    if "graph_input" in request_:
        assert planned.graph_input == request_["graph_input"]
    assert isinstance(graph.checkpointer, MortalSaver)
    assert graph.checkpointer.reads == 0


async def test_posted_messages_are_the_input() -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("node", lambda _: {})
    builder.add_edge(START, "node")
    claim = claim_of()
    claim.messages = [HELLO]
    assert (await plan(claim, build(builder))).graph_input == {"messages": [HELLO]}
    with pytest.raises(Invalid, match="graph 'graph' has no `messages`"):
        await plan(claim, build(graphs.linear()))


async def test_null_input_on_a_new_thread_is_langgraph_s_error() -> None:
    with pytest.raises(EmptyInputError):
        await attempt(claim_of(), build(graphs.linear()))


def test_commands() -> None:
    assert command_of(Asked(resume="v")) == Command(resume="v", goto=[])
    assert command_of(Asked(resume=False)) == Command(resume=False, goto=[])
    assert command_of(Asked(update={"k": 1}, goto="b")) == Command(update={"k": 1}, goto=["b"])
    given = msgspec.json.decode(b'{"update":[["k",1],["k",2]],"goto":["b","c"]}', type=Asked)
    assert command_of(given) == Command(update=[("k", 1), ("k", 2)], goto=["b", "c"])
    given = msgspec.json.decode(b'{"goto":{"node":"c","input":{"k":1}}}', type=Asked)
    assert command_of(given) == Command(goto=[Send("c", {"k": 1})])
    assert command_of(Asked(update=None, resume=None, goto=None)) is None


# answers
async def test_a_bare_answer_is_made_out_to_the_interrupt_that_waits() -> None:
    graph = build(graphs.ask())
    await attempt(claim_of({"log": []}), graph)
    ids = await waiting(graph)
    planned = await plan(claim_of(command={"resume": "yes", "update": {"note": "n"}}), graph)
    assert planned.graph_input == Command(resume={ids["q1"]: "yes"}, update={"note": "n"}, goto=[])


async def test_an_answer_to_nothing_goes_to_nobody() -> None:
    graph = build(graphs.ask(), interrupt_before=["ask"])
    await attempt(claim_of({"log": []}), graph)
    assert (await plan(claim_of(command={"resume": "yes"}), graph)).graph_input is None


@pytest.mark.parametrize("builder", [graphs.nested(checkpointer=False), graphs.called(checkpointer=False)])
async def test_a_graph_without_checkpoints_of_its_own_gets_the_bare_answer(builder: Any) -> None:
    graph = build(builder)
    await attempt(claim_of({"log": []}), graph)
    await attempt(claim_of(command={"resume": "A"}), graph)
    assert (await waiting(graph)).keys() == {"c2"}


async def test_an_answer_is_not_kept_for_a_later_question() -> None:
    """Langgraph keeps a bare answer with the checkpoint, and gives it to whatever a later run on it asks."""
    graph = graphs.functional(MortalSaver())
    await attempt(claim_of({"log": []}), graph)
    for _ in range(2):
        await attempt(claim_of(command={"resume": "A"}), graph)
    assert (await waiting(graph)).keys() == {"t2"}
    await attempt(claim_of(), graph)
    assert (await waiting(graph)).keys() == {"t2"}


# the context
@dataclass
class Settings:
    user: str = "anon"


@dataclass
class Strict:
    user: str


class Model(BaseModel):
    user: str = Field("anon", alias="User")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Dict(TypedDict, total=False):
    user: str


@pytest.mark.parametrize(
    ("schema", "context", "passed"),
    [
        (None, {}, None),
        (None, {"k": 1}, {"k": 1}),
        (Settings, {"user": "u", "k": 1}, {"user": "u"}),
        (Settings, {}, {}),
        (Strict, {"k": 1}, None),
        (Strict, {"user": "u", "k": 1}, {"user": "u"}),
        (Model, {"User": "u", "k": 1}, {"User": "u"}),
        (Open, {"k": 1}, {"k": 1}),
        (Dict, {"user": "u", "k": 1}, {"user": "u"}),
        (Dict, {"k": 1}, {}),
    ],
)
def test_context_is_cut_to_the_graph_s_schema(schema: Any, context: dict[str, Any], passed: Any) -> None:
    builder: Any = StateGraph(graphs.State, context_schema=schema)
    builder.add_node("a", graphs.plain("a"))
    builder.add_edge(START, "a")
    assert graph_context(build(builder), context) == passed


# with our checkpointer
class Visits(TypedDict, total=False):
    visits: Annotated[list[str], add]
    count: int


class Log(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(lambda old, new: sum(new, list(old or [])))]
    sure: Annotated[list[str], add]
    count: int


def remembering() -> Any:
    """Keeps, besides a DeltaChannel, the memory of a subgraph; both are stored before the first checkpoint can be."""
    child = StateGraph(Visits)
    child.add_node("visit", lambda _: {"visits": ["visit"]})
    child.add_node("count", lambda state: {"count": len(state["visits"])})
    child.add_edge(START, "visit")
    child.add_edge("visit", "count")
    builder = StateGraph(Log)
    builder.add_node("child", child.compile(checkpointer=True))
    builder.add_node("a", lambda _: {"log": ["a"], "sure": ["a"]})
    builder.add_edge(START, "child")
    builder.add_edge("child", "a")
    return builder.compile()


class MortalRedisSaver(RedisSaver):
    lives: ClassVar[list[int]] = []  # one for each write that succeeds

    async def aput(self, *args: Any) -> RunnableConfig:
        self._spend()
        return await super().aput(*args)

    async def aput_writes(self, *args: Any) -> None:
        self._spend()
        await super().aput_writes(*args)

    def _spend(self) -> None:
        if not self.lives:
            raise Crash
        self.lives.pop()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_what_a_dead_attempt_left_without_its_input_is_taken_back(client: Client, durability: str) -> None:
    graph = remembering()
    saver = MortalRedisSaver(client)

    async def play(claim: Any, writes: int) -> None:
        claim.token = f"{writes}.worker"
        await client.redis.hset(client.keys.run(claim.run_id), "token", claim.token)  # type: ignore[misc]  # redis-py types it as maybe sync
        opened = copy.copy(graph)
        opened.checkpointer = saver.for_run(claim.run_id, claim.token)
        saver.lives[:] = range(writes)
        try:
            await attempt(claim, opened)
        except Crash:
            claim.wrote = await client.redis.hexists(client.keys.run(claim.run_id), "wrote")  # type: ignore[misc]  # as above

    for writes in range(12):
        claim = claim_of({"log": ["in"], "sure": ["in"]}, durability=durability)
        claim.thread_id = claim.config.config["configurable"]["thread_id"] = f"thread-{writes}"
        before = claim_of({"log": ["first"], "sure": ["first"]}, durability=durability)
        before.thread_id = before.config.config["configurable"]["thread_id"] = claim.thread_id
        await play(before, 100)
        await play(claim, writes)
        await play(claim, 100)
        graph.checkpointer = RedisSaver(client)
        state = await graph.aget_state({"configurable": {"thread_id": claim.thread_id}})
        assert state.values["sure"] == ["first", "a", "in", "a"]
        assert state.values["log"] == state.values["sure"], f"after {writes} writes"
        assert state.values["count"] == 2, f"after {writes} writes"


# langgraph's private parts that we use
def test_langgraph_s_private_functions_are_as_we_know_them() -> None:
    assert list(inspect.signature(should_interrupt).parameters) == ["checkpoint", "interrupt_nodes", "tasks"]
    assert list(inspect.signature(Pregel._resolve_checkpointer).parameters) == ["self", "config"]
