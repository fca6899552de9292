"""Graphs that pause, branch and nest, for the tests of what a later attempt of a run passes to them.

`RAN` has every node that was entered. Questions carry a name, and a log line says which answer each of them got.
"""

import asyncio
from operator import add
from typing import Annotated, Any

from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

RAN: list[str] = []


class State(TypedDict, total=False):
    items: list[str]
    note: str
    log: Annotated[list[str], add]


def asking(name: str, *questions: str) -> Any:
    async def node(state: State) -> State:  # noqa: ARG001 - a node takes the state
        RAN.append(name)
        await asyncio.sleep(0)
        return {"log": [f"{question}={interrupt(question)}" for question in questions] or [name]}

    node.__name__ = name
    return node


def plain(name: str) -> Any:
    return asking(name)


def chain(*nodes: tuple[str, Any]) -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(State)
    for name, node in nodes:
        builder.add_node(name, node)
    for (before, _), (after, _) in zip([(START, None), *nodes], [*nodes, (END, None)], strict=True):
        builder.add_edge(before, after)
    return builder


def beside(*nodes: tuple[str, Any], then: tuple[str, Any] | None = None) -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(State)
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(START, name)
    if then:
        builder.add_node(*then)
        builder.add_edge([name for name, _ in nodes], then[0])
    return builder


def linear() -> StateGraph[Any, Any, Any, Any]:
    return chain(*((name, plain(name)) for name in "abcd"))


def ask() -> StateGraph[Any, Any, Any, Any]:
    return chain(("a", plain("a")), ("ask", asking("ask", "q1")), ("z", plain("z")))


def ask_twice() -> StateGraph[Any, Any, Any, Any]:
    """One node with two questions, so its second answer must not be the first one's."""
    return chain(("a", plain("a")), ("ask", asking("ask", "q1", "q2")), ("z", plain("z")))


def ask_beside_work() -> StateGraph[Any, Any, Any, Any]:
    return beside(("ask", asking("ask", "q1", "q2")), ("work", plain("work")), then=("z", plain("z")))


def ask_two() -> StateGraph[Any, Any, Any, Any]:
    left, right = asking("left", "l1", "l2"), asking("right", "r1")
    return beside(("left", left), ("right", right), then=("z", plain("z")))


class ChildState(TypedDict, total=False):
    log: Annotated[list[str], add]


class Alone(TypedDict, total=False):
    child_log: Annotated[list[str], add]


def _child(checkpointer: bool | None, **breakpoints: Any) -> Any:
    builder = StateGraph(Alone)
    for name, question in (("first", "c1"), ("second", "c2"), ("third", "c3")):
        builder.add_node(name, _child_node(name, None if breakpoints else question))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", "third")
    return builder.compile(name="child", checkpointer=checkpointer, **breakpoints)


def _child_node(name: str, question: str | None) -> Any:
    async def node(state: Alone) -> Alone:  # noqa: ARG001 - a node takes the state
        RAN.append(name)
        return {"child_log": [f"{question}={interrupt(question)}" if question else name]}

    return node


class Parent(State, total=False):
    child_log: Annotated[list[str], add]


def nested(checkpointer: bool | None = None, **breakpoints: Any) -> StateGraph[Any, Any, Any, Any]:
    """A subgraph of three nodes that each ask, or are gated by breakpoints."""
    builder = StateGraph(Parent)
    builder.add_node("a", plain("a"))
    builder.add_node("child", _child(checkpointer, **breakpoints))
    builder.add_node("z", plain("z"))
    builder.add_edge(START, "a")
    builder.add_edge("a", "child")
    builder.add_edge("child", "z")
    return builder


def called(checkpointer: bool | None = None) -> StateGraph[Any, Any, Any, Any]:
    """A node that calls, out of langgraph's sight, a graph that asks."""
    hidden = {"child": _child(checkpointer)}

    async def call(state: Parent) -> Parent:  # noqa: ARG001 - a node takes the state
        RAN.append("call")
        result = await hidden["child"].ainvoke({"child_log": []})
        return {"log": result["child_log"]}

    return chain(("a", plain("a")), ("call", call), ("z", plain("z")))


def fanout() -> StateGraph[Any, Any, Any, Any]:
    async def work(state: State) -> State:
        RAN.append("work")
        return {"log": [f"work {state['note']}"]}

    builder = StateGraph(State)
    builder.add_node("plan", plain("plan"))
    builder.add_node("work", work)
    builder.add_node("gather", plain("gather"))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: [Send("work", {"note": i}) for i in state["items"]], ["work"])
    builder.add_edge("work", "gather")
    return builder


def functional(checkpointer: Any) -> Any:
    @task
    async def question(name: str) -> str:
        RAN.append(name)
        return f"{name}={interrupt(name)}"

    @task
    async def ask_twice_in_a_task() -> str:
        return f"t1={interrupt('t1')} t2={interrupt('t2')}"

    @entrypoint(checkpointer=checkpointer)
    async def workflow(inputs: dict[str, Any]) -> list[str]:
        log = list(inputs["log"])
        log.append(await question("f1"))
        log.append(await ask_twice_in_a_task())
        log.append(f"own={interrupt('own')}")
        return log

    return workflow


BROKEN: set[str] = set()  # nodes that raise


def broken_beside() -> StateGraph[Any, Any, Any, Any]:
    """While `flaky` is broken its run ends with an error, and `ask` waits for an answer."""

    async def flaky(state: State) -> State:  # noqa: ARG001 - a node takes the state
        RAN.append("flaky")
        if "flaky" in BROKEN:
            raise ValueError("broken")
        return {"log": [f"f1={interrupt('f1')}"]}

    return beside(("ask", asking("ask", "q1", "q2")), ("flaky", flaky), then=("z", plain("z")))


def two_children() -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(Parent)
    for name in ("x", "y"):
        builder.add_node(name, _child(None))
        builder.add_edge(START, name)
    return builder


def grandchild() -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(Parent)
    builder.add_node("middle", nested().compile())
    builder.add_node("y", plain("y"))
    builder.add_edge(START, "middle")
    builder.add_edge("middle", "y")
    return builder
