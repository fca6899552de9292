"""A graph built per call: the config decides which nodes it has."""

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    path: str


def make_graph(config: RunnableConfig):
    extra = bool(config.get("configurable", {}).get("extra"))

    async def base(state: State) -> dict:
        return {"path": "base"}

    async def more(state: State) -> dict:
        return {"path": "base+extra"}

    builder = StateGraph(State)
    builder.add_node("base", base)
    builder.add_edge(START, "base")
    if extra:
        builder.add_node("extra", more)
        builder.add_edge("base", "extra")
        builder.add_edge("extra", END)
    else:
        builder.add_edge("base", END)
    return builder.compile(name="factory")
