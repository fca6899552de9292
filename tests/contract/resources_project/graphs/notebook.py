"""A graph that writes to the store and reads the entry back."""

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    book: str
    page: str
    note: str
    read_back: str


async def write(state: State, *, store: BaseStore) -> dict:
    namespace = ("notebook", state["book"])
    await store.aput(namespace, state["page"], {"note": state["note"]})
    item = await store.aget(namespace, state["page"])
    return {"read_back": item.value["note"]}


builder = StateGraph(State)
builder.add_node("write", write)
builder.add_edge(START, "write")
builder.add_edge("write", END)
graph = builder.compile(name="notebook")
