"""Emits `count` custom chunks through the stream writer."""

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    count: int
    done: bool


async def emit(state: State) -> dict:
    write = get_stream_writer()
    for i in range(state.get("count", 3)):
        write({"progress": i})
    write("plain text")
    return {"done": True}


builder = StateGraph(State)
builder.add_node("emit", emit)
builder.add_edge(START, "emit")
builder.add_edge("emit", END)
graph = builder.compile(name="writer")
