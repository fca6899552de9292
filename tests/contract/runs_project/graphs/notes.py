"""Writes `text` to the store under ("notes", owner) and returns all of that owner's notes."""

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    owner: str
    key: str
    text: str
    notes: dict[str, str]


async def save(state: State, *, store: BaseStore) -> dict:
    namespace = ("notes", state["owner"])
    await store.aput(namespace, state["key"], {"text": state["text"]})
    found = await store.asearch(namespace, limit=100)
    return {"notes": {item.key: item.value["text"] for item in found}}


builder = StateGraph(State)
builder.add_node("save", save)
builder.add_edge(START, "save")
builder.add_edge("save", END)
graph = builder.compile(name="notes")
