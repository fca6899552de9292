"""A graph whose middle node is a compiled subgraph that interrupts."""

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    text: str
    hint: str


async def inner_first(state: State) -> dict:
    return {"text": state.get("text", "") + "+inner"}


async def inner_ask(state: State) -> dict:
    return {"hint": interrupt("hint?")}


inner_builder = StateGraph(State)
inner_builder.add_node("inner_first", inner_first)
inner_builder.add_node("inner_ask", inner_ask)
inner_builder.add_edge(START, "inner_first")
inner_builder.add_edge("inner_first", "inner_ask")
inner_builder.add_edge("inner_ask", END)
inner = inner_builder.compile()


async def outer_first(state: State) -> dict:
    return {"text": state.get("text", "") + "outer"}


builder = StateGraph(State)
builder.add_node("outer_first", outer_first)
builder.add_node("child", inner)
builder.add_edge(START, "outer_first")
builder.add_edge("outer_first", "child")
builder.add_edge("child", END)
graph = builder.compile(name="nested")
