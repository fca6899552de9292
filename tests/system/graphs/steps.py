"""Graphs that write down what they do, so that a test can tell how often each step really ran, when, and where.

`steps` has ten steps, `mark` has one. A step that the input holds waits for a file, or for ever if none is named.
"""

import asyncio
import json
import operator
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, NotRequired

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

HOUR = 3600


class State(TypedDict):
    journal: str  # the file to write to
    name: NotRequired[str]  # of the run, in its lines
    hold: NotRequired[int | None]  # the step that waits
    gate: NotRequired[str | None]  # for this file
    done: Annotated[list[int], operator.add]


def note(state: State, what: str, step: int) -> None:
    """Add a line. One write to a file opened for appending: lines of many processes do not mix."""
    line = {"what": what, "step": step, "name": state.get("name", ""), "pid": os.getpid(), "at": time.time()}
    with Path(state["journal"]).open("a", buffering=1) as journal:
        journal.write(json.dumps(line) + "\n")


async def wait_at(gate: str | None) -> None:
    if gate is None:
        await asyncio.sleep(HOUR)
    while gate and not is_open(gate):  # noqa: ASYNC110 - it is opened by another process
        await asyncio.sleep(0.01)


def is_open(gate: str) -> bool:
    return Path(gate).exists()


def step(number: int) -> Callable[[State], Awaitable[dict[str, Any]]]:
    async def run(state: State) -> dict[str, Any]:
        note(state, "began", number)
        try:
            if state.get("hold") == number:
                await wait_at(state.get("gate"))
        except asyncio.CancelledError:
            note(state, "cancelled", number)
            raise
        note(state, "ended", number)
        return {"done": [number]}

    return run


def chain(length: int) -> CompiledStateGraph[State, None, State, State]:
    builder = StateGraph(State)
    nodes: Any = [(f"step_{number}", step(number)) for number in range(length)]  # mypy cannot infer what State is there
    builder.add_sequence(nodes)
    builder.add_edge(START, "step_0")
    return builder.compile()


steps = chain(10)
mark = chain(1)
