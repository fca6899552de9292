"""A graph whose node asks the same server for runs of the same graph, and waits for them."""

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from typing_extensions import TypedDict


class State(TypedDict):
    url: str
    depth: int  # levels below this one
    width: int  # runs that each asks for at once
    gate: str | None  # the deepest wait for this file
    visits: Annotated[int, operator.add]  # runs of this graph on this thread, and those below them


def is_open(gate: str) -> bool:
    return Path(gate).exists()


async def visit(state: State, config: RunnableConfig) -> dict[str, Any]:
    if state["depth"] == 0:
        while state["gate"] and not is_open(state["gate"]):  # noqa: ASYNC110 - it is opened by another process
            await asyncio.sleep(0.01)
        return {"visits": 1}
    remote = RemoteGraph("nest", url=state["url"])
    below = {**state, "depth": state["depth"] - 1, "visits": 0}
    results = await asyncio.gather(*(remote.ainvoke(below, config) for _ in range(state["width"])))
    return {"visits": 1 + max(result["visits"] for result in results)}


builder = StateGraph(State)
builder.add_node("visit", visit)
builder.add_edge(START, "visit")
nest = builder.compile()
