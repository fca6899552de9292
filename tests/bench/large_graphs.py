"""Graphs that make large things: of many events, of many steps, with much in their state."""

import asyncio
import time
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from typing_extensions import TypedDict


class Asked(TypedDict, total=False):
    count: int
    text: str


class Ticking(TypedDict):
    begins: float
    count: int
    pace: float


class Walked(TypedDict, total=False):
    left: int
    text: str
    hold: bool


async def emit(state: Asked) -> Asked:
    """`count` events of a token's size."""
    write = get_stream_writer()
    for number in range(state["count"]):
        write({"token": f"token {number}"})
    return {"count": 0}


async def tick(state: Ticking) -> dict[str, Any]:
    """`count` events from the time `begins` on, `pace` seconds apart; each says when it was made."""
    write = get_stream_writer()
    await asyncio.sleep(max(0, state["begins"] - time.time()))
    for _ in range(state["count"]):
        write({"at": time.time()})
        await asyncio.sleep(state["pace"])
    return {}


async def keep(state: Asked) -> Asked:
    return {"count": len(state.get("text", ""))}


async def walk(state: Walked) -> Walked:
    """One of many steps; each leaves a checkpoint with a text of its own. With `hold` the last one waits."""
    if state["left"] == 1 and state.get("hold"):
        await asyncio.sleep(3600)
    return {"left": state["left"] - 1, "text": f"{state['left']} " * 100}


async def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(content=f"{len(state['messages'])} messages")]}


def _one(schema: type[Any], node: Any) -> Any:
    builder = StateGraph(schema)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile()


def _walker() -> Any:
    builder = StateGraph(Walked)
    builder.add_node("walk", walk)
    builder.add_edge(START, "walk")
    builder.add_conditional_edges("walk", lambda state: "walk" if state["left"] > 0 else END)
    return builder.compile()


events = _one(Asked, emit)
ticking = _one(Ticking, tick)
text = _one(Asked, keep)
chat = _one(MessagesState, answer)
walker = _walker()
