"""Graphs that pause in every way, and are steered when they go on."""

import operator
from typing import Annotated, Any, NotRequired

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict):
    log: Annotated[list[str], operator.add]
    fails: NotRequired[bool]


def plain(name: str) -> Any:
    async def node(_state: State) -> dict[str, Any]:
        return {"log": [name]}

    return node


def asks(name: str, *questions: str) -> Any:
    async def node(_state: State) -> dict[str, Any]:
        return {"log": [f"{name} {' '.join(str(interrupt(question)) for question in questions)}"]}

    return node


async def fragile(state: State) -> dict[str, Any]:
    if state.get("fails"):
        raise ValueError("not yet")
    return {"log": ["b"]}


def chain(*nodes: tuple[str, Any]) -> CompiledStateGraph[State, None, State, State]:
    builder: Any = StateGraph(State)  # mypy cannot infer what State is there
    builder.add_sequence(list(nodes))
    builder.add_edge(START, nodes[0][0])
    return builder.compile()  # type: ignore[no-any-return]  # as above


def beside() -> Any:
    builder: Any = StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, asks(name, f"{name}?"))
        builder.add_edge(START, name)
        builder.add_edge(name, "after")
    builder.add_node("after", plain("after"))
    return builder.compile()


linear = chain(("a", plain("a")), ("b", plain("b")), ("c", plain("c")))
asking = chain(("ask", asks("ask", "first?")), ("after", plain("after")))
twice = chain(("ask", asks("ask", "first?", "second?")), ("after", plain("after")))
nested = chain(("before", plain("before")), ("child", asking), ("last", plain("last")))
failing = chain(("a", plain("a")), ("b", fragile), ("c", plain("c")))
parallel = beside()
