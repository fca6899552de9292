"""A graph that stops to ask for approval."""

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    draft: str
    answer: str
    done: bool


async def prepare(state: State) -> dict:
    return {"draft": state.get("draft", "draft")}


async def ask(state: State) -> dict:
    answer = interrupt({"question": "approve?", "draft": state["draft"]})
    return {"answer": answer}


async def finish(state: State) -> dict:
    return {"done": True}


builder = StateGraph(State)
builder.add_node("prepare", prepare)
builder.add_node("ask", ask)
builder.add_node("finish", finish)
builder.add_edge(START, "prepare")
builder.add_edge("prepare", "ask")
builder.add_edge("ask", "finish")
builder.add_edge("finish", END)
graph = builder.compile(name="approval")
