"""A graph that stores a text and looks for the nearest of all."""

from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    text: str
    query: str
    nearest: str


async def remember(state: State, *, store: BaseStore) -> State:
    await store.aput(("notes",), state["text"], {"text": state["text"]})
    [found] = await store.asearch(("notes",), query=state["query"], limit=1)
    return {"nearest": found.key}


builder = StateGraph(State)
builder.add_node("remember", remember)
builder.add_edge(START, "remember")
graph = builder.compile()
