"""A graph that asks for leave before its last step, and writes down how often that step has run."""

from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from steps import State, step  # type: ignore[import-not-found]  # the worker puts this folder on its path


async def ask(_state: State) -> dict[str, Any]:
    interrupt({"question": "go on?"})
    return {}


builder = StateGraph(State)
nodes: Any = [("step_0", step(0)), ("ask", ask), ("step_1", step(1))]
builder.add_sequence(nodes)
builder.add_edge(START, "step_0")
graph = builder.compile()
