"""How an attempt ends, and how it is stopped."""

import asyncio
from typing import Any

import pytest
from langgraph.errors import GraphDrained

from lineshaft.errors import Fenced
from lineshaft_worker import execution as module
from lineshaft_worker.execution import Execution, Outcome, StopReason

from .crashes import claim_of

CANCELLED = Outcome("interrupted")
TIMED_OUT = Outcome("timeout", b'{"error":"TimeoutError","message":""}')


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CANCEL_AGAIN", 0.05)


class Script:
    """A graph that does as it is told: swallows so many cancels, then ends in a certain way."""

    def __init__(self, *, swallow: int = 0, end: BaseException | None = None) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.swallowed = 0
        self._swallow = swallow
        self._end = end

    async def run(self) -> None:
        self.begun.set()
        while not self.go_on.is_set():
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                if self.swallowed == self._swallow:
                    if self._end is not None:
                        raise self._end from None
                    raise
                self.swallowed += 1
        if self._end is not None:
            raise self._end


@pytest.fixture
def execution() -> Execution:
    return Execution(claim_of())


async def stopped(execution: Execution, graph: Script, *reasons: StopReason, seconds: float = 60) -> Outcome | None:
    running = asyncio.create_task(execution.run(graph.run(), seconds=seconds))
    await graph.begun.wait()
    for reason in reasons:
        execution.stop(reason)
    return await running


async def test_the_end_of_a_graph(execution: Execution) -> None:
    graph = Script()
    graph.go_on.set()
    assert await execution.run(graph.run(), seconds=60) == Outcome("success")


async def test_a_graph_that_cleans_up_is_not_disturbed_by_hearing_its_cancel_again(
    execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the worker's holdings names a run that is being cancelled."""
    monkeypatch.setattr(module, "_CANCEL_AGAIN", 60)
    graph = Script(swallow=1)
    running = asyncio.create_task(execution.run(graph.run(), seconds=60))
    await graph.begun.wait()
    for _ in range(3):
        execution.stop("cancel")
        await asyncio.sleep(0)
    assert graph.swallowed == 1
    graph.go_on.set()
    assert await running == Outcome("success")


async def test_an_error(execution: Execution) -> None:
    graph = Script(end=(error := ValueError("bad")))
    graph.go_on.set()
    assert await execution.run(graph.run(), seconds=60) == Outcome("error", cause=error)


@pytest.mark.parametrize(
    ("reasons", "outcome"),
    [
        (["cancel"], CANCELLED),
        (["drain"], None),
        (["lost"], None),
        (["timeout"], TIMED_OUT),
        (["cancel", "drain"], CANCELLED),
        (["drain", "cancel"], None),  # it goes on elsewhere, where the cancel is carried out
        (["cancel", "lost"], None),  # others have it: nothing is ours to tell any more
    ],
)
async def test_stops(execution: Execution, reasons: list[StopReason], outcome: Outcome | None) -> None:
    assert await stopped(execution, Script(), *reasons) == outcome
    assert not execution.leaked


async def test_a_stop_before_it_runs(execution: Execution) -> None:
    graph = Script()
    execution.stop("cancel")
    assert await execution.run(graph.run(), seconds=60) == CANCELLED
    assert not graph.begun.is_set()


async def test_the_time_limit(execution: Execution) -> None:
    assert await execution.run(Script().run(), seconds=0.01) == TIMED_OUT


async def test_a_graph_that_swallows_one_cancel_gets_a_second(execution: Execution) -> None:
    graph = Script(swallow=1)
    assert await stopped(execution, graph, "cancel") == CANCELLED
    assert graph.swallowed == 1 and not execution.leaked


@pytest.mark.parametrize(("reason", "outcome"), [("cancel", CANCELLED), ("timeout", TIMED_OUT), ("drain", None)])
async def test_a_graph_that_swallows_both_is_abandoned(
    execution: Execution, reason: StopReason, outcome: Outcome | None
) -> None:
    graph = Script(swallow=2)
    assert await stopped(execution, graph, reason) == outcome
    assert graph.swallowed == 2 and execution.leaked
    graph.go_on.set()


async def test_a_graph_that_ends_in_spite_of_its_cancel_has_ended(execution: Execution) -> None:
    """The script that ends the run knows of the cancel and asks for it to be carried out."""
    graph = Script(swallow=1)
    running = asyncio.create_task(stopped(execution, graph, "cancel"))
    await graph.begun.wait()
    graph.go_on.set()
    assert await running == Outcome("success")


@pytest.mark.parametrize(("reason", "outcome"), [("cancel", CANCELLED), ("timeout", TIMED_OUT), ("drain", None)])
async def test_a_graph_that_makes_an_error_of_its_cancel_is_stopped_all_the_same(
    execution: Execution, reason: StopReason, outcome: Outcome | None
) -> None:
    assert await stopped(execution, Script(end=ValueError("was I cancelled?")), reason) == outcome


async def test_a_graph_that_cancels_itself_has_failed(execution: Execution) -> None:
    graph = Script(end=asyncio.CancelledError())
    graph.go_on.set()
    outcome = await execution.run(graph.run(), seconds=60)
    assert outcome is not None and outcome.status == "error"
    assert isinstance(outcome.cause, asyncio.CancelledError)


async def test_a_drained_graph_goes_on_elsewhere(execution: Execution) -> None:
    graph = Script(end=GraphDrained("stopping"))
    graph.go_on.set()
    execution.drain()
    assert execution.control.drain_requested
    assert await execution.run(graph.run(), seconds=60) is None
    assert execution.reason == "drain"


async def test_a_cancel_outweighs_a_drain_at_a_step(execution: Execution) -> None:
    assert await stopped(execution, Script(end=GraphDrained("stopping")), "cancel") == CANCELLED


@pytest.mark.parametrize("reasons", [[], ["cancel"]])
async def test_a_refused_write_is_raised(execution: Execution, reasons: list[StopReason]) -> None:
    graph = Script(end=Fenced("no"))
    if not reasons:
        graph.go_on.set()
    with pytest.raises(Fenced):
        await stopped(execution, graph, *reasons)


# opening
async def test_a_graph_is_opened(execution: Execution) -> None:
    async def opening() -> str:
        return "graph"

    assert await execution.open(opening(), seconds=60) == "graph"


@pytest.mark.parametrize(("reason", "outcome"), [("cancel", CANCELLED), ("drain", None), ("lost", None)])
async def test_a_factory_that_hangs_can_be_stopped(
    execution: Execution, reason: StopReason, outcome: Outcome | None
) -> None:
    graph = Script()
    running: asyncio.Task[Any] = asyncio.create_task(execution.open(graph.run(), seconds=60))
    await graph.begun.wait()
    execution.stop(reason)
    execution.stop(reason)
    assert await running is None
    assert execution.stopped() == outcome
    assert not running.cancelling()


async def test_a_factory_has_the_runs_time(execution: Execution) -> None:
    opening: Any = Script().run()
    assert await execution.open(opening, seconds=0.01) is None
    assert execution.stopped() == TIMED_OUT


async def test_a_stop_before_it_opens(execution: Execution) -> None:
    execution.stop("cancel")
    opening: Any = Script().run()
    assert await execution.open(opening, seconds=60) is None
    assert execution.stopped() == CANCELLED


async def test_a_factorys_own_timeout_is_its_error(execution: Execution) -> None:
    graph = Script(end=TimeoutError("mine"))
    graph.go_on.set()
    with pytest.raises(TimeoutError, match="mine"):
        await execution.open(graph.run(), seconds=60)
