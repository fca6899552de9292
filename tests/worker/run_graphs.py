"""Graphs for the tests of what executes runs. The worker is in the test's own event loop and process, so a test sees in
`ENTERED` which nodes have begun, and opens the gates that nodes wait at.
"""

import asyncio
import itertools
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import add
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

ENTERED: list[str] = []
GATES: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


def reset() -> None:
    ENTERED.clear()
    GATES.clear()


class State(TypedDict, total=False):
    log: Annotated[list[str], add]
    gate: str  # that `hold` waits at
    swallow: int  # cancels that `deaf` ignores
    items: list[int]
    text: str


def plain(name: str) -> Any:
    async def node(state: State) -> State:  # noqa: ARG001 - a node takes the state
        ENTERED.append(name)
        await asyncio.sleep(0)
        return {"log": [name]}

    return node


def chain(*nodes: tuple[str, Any], state: Any = State) -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(state)
    for name, node in nodes:
        builder.add_node(name, node)
    for before, after in itertools.pairwise([START, *(name for name, _ in nodes)]):
        builder.add_edge(before, after)
    return builder


async def hold(state: State) -> State:
    gate = state.get("gate", "gate")
    ENTERED.append(f"hold {gate}")
    try:
        await GATES[gate].wait()
    except asyncio.CancelledError:
        ENTERED.append(f"cancelled {gate}")
        raise
    return {"log": ["hold"]}


async def deaf(state: State) -> State:
    left = state["swallow"]
    ENTERED.append("deaf")
    while not GATES["gate"].is_set():
        try:
            await GATES["gate"].wait()
        except asyncio.CancelledError:
            ENTERED.append("swallowed")
            left -= 1
            if not left:
                break
    return {"log": ["deaf"]}


async def convert(state: State) -> State:  # noqa: ARG001 - a node takes the state
    ENTERED.append("convert")
    try:
        await GATES["gate"].wait()
    except asyncio.CancelledError:
        raise ValueError("interrupted in the middle of something") from None
    return {}


async def cancel_itself(state: State) -> State:  # noqa: ARG001 - a node takes the state
    raise asyncio.CancelledError


async def boom(state: State) -> State:  # noqa: ARG001 - a node takes the state
    raise ValueError("boom")


async def ask(state: State) -> State:  # noqa: ARG001 - a node takes the state
    return {"log": [f"answer {interrupt({'question': 'go on?'})}"]}


linear = chain(("a", plain("a")), ("b", plain("b")), ("c", plain("c")))
held = chain(("a", plain("a")), ("hold", hold), ("z", plain("z")))
ignoring = chain(("deaf", deaf))
converting = chain(("convert", convert))
suicidal = chain(("cancel_itself", cancel_itself))
failing = chain(("a", plain("a")), ("boom", boom))
asking = chain(("a", plain("a")), ("ask", ask), ("z", plain("z")))
large = chain(("large", lambda _: {"text": "x" * 700_000}))


async def spread(state: State) -> State:  # noqa: ARG001 - a node takes the state
    return {}


async def square(state: State) -> State:
    return {"log": [str(state["items"][0] ** 2)]}


fanout: StateGraph[Any, Any, Any, Any] = StateGraph(State)
fanout.add_node("spread", spread)
fanout.add_node("square", square)
fanout.add_edge(START, "spread")
fanout.add_conditional_edges("spread", lambda state: [Send("square", {"items": [i]}) for i in state["items"]])

two_questions: StateGraph[Any, Any, Any, Any] = StateGraph(State)
for _side in ("left", "right"):
    two_questions.add_node(_side, lambda _, side=_side: {"log": [f"{side} {interrupt(side)}"]})
    two_questions.add_edge(START, _side)


# messages
MODEL = GenericFakeChatModel(messages=(AIMessage("echo: hi there") for _ in itertools.count()))


async def call_model(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await MODEL.ainvoke(state["messages"])]}


async def count(state: MessagesState) -> dict[str, Any]:
    if state["messages"][-1].content == "boom":
        raise ValueError("boom")
    return {"messages": [AIMessage(f"{len(state['messages'])} so far", id=f"m{len(state['messages'])}")]}


async def hold_messages(state: MessagesState) -> dict[str, Any]:  # noqa: ARG001 - a node takes the state
    await hold({})
    return {"messages": [AIMessage("held")]}


replying = chain(("hold", hold_messages), state=MessagesState)
chat = chain(("model", call_model), state=MessagesState)
counting = chain(("count", count), state=MessagesState)


# subgraphs
class Parent(MessagesState, total=False):
    log: Annotated[list[str], add]
    pause: bool
    fail: bool


class Child(MessagesState, total=False):
    pause: bool
    fail: bool


async def inner(state: Child) -> dict[str, Any]:
    get_stream_writer()({"from": "inner"})
    if state.get("fail"):
        raise ValueError("boom in child")
    told = interrupt("child asks") if state.get("pause") else "hello child"
    return {"messages": [HumanMessage(told, id="m-inner")]}


nested = chain(
    ("outer", plain("outer")),
    ("child", chain(("inner", inner), ("talk", call_model), state=Child).compile()),
    ("last", plain("last")),
    state=Parent,
)


# other forms
async def write(state: State) -> State:  # noqa: ARG001 - a node takes the state
    writer = get_stream_writer()
    writer({"progress": 0})
    writer("plain text")
    secret: Any = RunnableLambda(lambda _: 1)
    await secret.with_config(tags=["langsmith:hidden"], run_name="secret").ainvoke(0)
    return {"log": ["write"]}


writing = chain(("write", write))


@task
async def double(n: int) -> int:
    return n * 2


@entrypoint()
async def functional(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"doubled": await double(inputs["n"])}


class Strict(BaseModel):
    n: int = 0


# What the first node returns fits no integer, so the second one, and the graph's state, cannot be read.
strict = chain(("a", lambda _: {"n": "none"}), ("b", lambda _: {"n": 2}), state=Strict)


async def broken(config: RunnableConfig) -> Any:  # noqa: ARG001 - it makes this a factory
    raise RuntimeError("no connection")


async def quitting(config: RunnableConfig) -> Any:  # noqa: ARG001 - as above
    sys.exit("no licence")


@asynccontextmanager
async def slow(config: RunnableConfig) -> AsyncIterator[Any]:  # noqa: ARG001 - as above
    ENTERED.append("opening")
    try:
        await GATES["open"].wait()
        yield linear
    finally:
        ENTERED.append("closed")


NAMES = (
    "linear", "held", "ignoring", "converting", "suicidal", "failing", "asking", "large", "fanout", "two_questions",
    "chat", "counting", "nested", "writing", "functional", "strict", "broken", "quitting", "slow",
    "replying",
)  # fmt: skip
