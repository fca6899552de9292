"""The counter graph again, registered with a description in langgraph.json."""

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    value: str


async def only(state: State) -> dict:
    return {"value": "done"}


builder = StateGraph(State)
builder.add_node("only", only)
builder.add_edge(START, "only")
builder.add_edge("only", END)
graph = builder.compile(name="described")
