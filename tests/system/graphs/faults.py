"""A graph of three steps; the middle one does what the input names, and worse things than any graph should."""

import asyncio
import ctypes
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from steps import HOUR, State, note, step  # type: ignore[import-not-found]  # the worker puts this folder on its path


class Input(State):  # type: ignore[misc]  # see above: mypy does not know it
    do: str
    seconds: float


def block(state: Input) -> None:
    """In the event loop: every other run of this worker waits."""
    time.sleep(state["seconds"])


def hold_the_gil(state: Input) -> None:
    """One call into C after another that never lets another thread run, `seconds` in all."""
    length, until = 20, time.monotonic() + state["seconds"]
    while time.monotonic() < until:
        began = time.monotonic()
        re.match(r"(a+)+$", "a" * length + "b")
        length += time.monotonic() - began < 2  # seconds: twice the time for each letter


def eat_memory(_state: Input) -> None:
    """More than the process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**33, hard))
    try:
        bytearray(2**34)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def double(number: int) -> int:
    return 2 * number


def fork(state: Input) -> None:
    pid = os.fork()
    if pid == 0:
        note(state, "forked", 1)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def fork_and_quit(state: Input) -> None:
    """The copy of the worker leaves as any program does."""
    pid = os.fork()
    if pid == 0:
        note(state, "forked", 1)
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def fork_and_return(state: Input) -> None:
    """The copy of the worker goes on with the graph: what it does then would count twice."""
    if pid := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    else:
        note(state, "forked", 1)


def fork_and_leave(state: Input) -> None:
    """The child of the worker's child goes on when the worker's child is long dead."""
    if os.fork() == 0:
        note(state, "forked", 1)
        time.sleep(HOUR)
        os._exit(0)


def pool(method: str) -> Callable[[Input], None]:
    def use(_state: Input) -> None:
        with multiprocessing.get_context(method).Pool(2) as workers:  # its end sends SIGTERM to what it has started
            assert workers.map(double, range(4)) == [0, 2, 4, 6]

    return use


def run_program(state: Input) -> None:
    subprocess.run([sys.executable, "-c", "print('hello')"], check=True, stdout=subprocess.DEVNULL)
    subprocess.Popen(["sleep", str(state["seconds"])])  # which nobody waits for


DEEDS: dict[str, Callable[[Input], Any]] = {
    "block": block,
    "hold the GIL": hold_the_gil,
    "eat memory": eat_memory,
    "exit": lambda _: sys.exit(3),
    "_exit": lambda _: os._exit(0),
    "segfault": lambda _: ctypes.string_at(0),
    "be killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "fork": fork,
    "fork and quit": fork_and_quit,
    "fork and return": fork_and_return,
    "fork and leave": fork_and_leave,
    "pool fork": pool("fork"),
    "pool spawn": pool("spawn"),
    "program": run_program,
    "sleep": block,  # in a thread: nothing can stop that
}


async def be_deaf(state: Input) -> None:
    """Nothing stops it but its gate."""
    while not os.path.exists(state["gate"]):  # noqa: ASYNC240, PTH110 - a test's graph, on a file that is there or not
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            note(state, "cancelled", 1)


async def in_the_loop(state: Input) -> dict[str, Any]:
    note(state, "began", 1)
    if state["do"] == "be deaf":
        await be_deaf(state)
    else:
        DEEDS[state["do"]](state)
    note(state, "ended", 1)
    return {"done": [1]}


def in_a_thread(state: Input) -> dict[str, Any]:
    note(state, "began", 1)
    DEEDS[state["do"]](state)
    note(state, "ended", 1)
    return {"done": [1]}


def make(middle: Any) -> CompiledStateGraph[Any, None, Any, Any]:
    builder = StateGraph(Input)
    builder.add_sequence([("step_0", step(0)), ("step_1", middle), ("step_2", step(2))])
    builder.add_edge(START, "step_0")
    return builder.compile()


graph = make(in_the_loop)
threaded = make(in_a_thread)
