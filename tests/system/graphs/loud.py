"""A graph that says much."""

import asyncio
from typing import Any

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    count: int
    size: int


async def shout(state: State) -> dict[str, Any]:
    """`count` events of `size` bytes."""
    write = get_stream_writer()
    for number in range(state["count"]):
        write({"number": number, "text": "x" * state["size"]})
        await asyncio.sleep(0)
    return {}


graph = StateGraph(State).add_node("shout", shout).add_edge(START, "shout").compile()
