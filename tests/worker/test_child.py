"""The process in which runs execute outlives what users' code does to it."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from lineshaft.loop import loop_factory
from lineshaft_worker.child import run_to_the_end


class State(TypedDict, total=False):
    done: bool


async def quit_awaited(state: State) -> State:  # noqa: ARG001 - a node takes the state
    sys.exit("from a coroutine")


def quit_threaded(state: State) -> State:  # noqa: ARG001 - as above
    sys.exit("from a thread")


async def run(node: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return await builder.compile().ainvoke({})


def play(factory: Callable[[], asyncio.AbstractEventLoop] | None, work: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=factory) as runner:
        return run_to_the_end(runner.get_loop(), work)


@pytest.mark.parametrize("factory", [None, loop_factory()], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("node", [quit_awaited, quit_threaded])
def test_a_node_that_calls_exit_ends_its_own_run_only(node: Any, factory: Any) -> None:
    async def neighbour(quits: asyncio.Task[Any]) -> str:
        await asyncio.wait({quits})
        await asyncio.sleep(0)
        return "goes on"

    async def work() -> int:
        quits = asyncio.create_task(run(node))
        assert await neighbour(quits) == "goes on"
        assert isinstance(quits.exception(), SystemExit)
        return 5

    assert play(factory, work()) == 5


def test_its_own_exit_is_an_exit() -> None:
    async def work() -> int:
        sys.exit(3)

    with pytest.raises(SystemExit):
        play(None, work())
