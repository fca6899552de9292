"""A claimed run being executed, and the one way to stop it."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Literal, TypeVar

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from msgspec import Struct

from lineshaft.errors import Fenced, GraphChanged
from lineshaft.telemetry.tracing import Span

from .claim import Claim
from .run_metrics import Measure

T = TypeVar("T")
StopReason = Literal["cancel", "lost", "drain", "timeout"]
# Seconds between a first and a second cancel, and then until a run that swallows both is abandoned: its end takes the
# token from it, so whatever it still does changes nothing.
_CANCEL_AGAIN = 5.0


class Outcome(Struct):
    """How an attempt ended: with an exception (`cause`), with an error that we say ourselves (JSON), or with none."""

    status: Literal["success", "error", "timeout", "interrupted"]
    error: bytes = b""
    cause: BaseException | None = None


def class_of(outcome: Outcome) -> str:
    """Under which class of errors operators find the run; empty if it is known already, or there is none."""
    if outcome.cause:
        return type(outcome.cause).__name__
    return "TimeoutError" if outcome.status == "timeout" else ""


class Execution:
    """One attempt of one run."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.measure = Measure(claim)
        self.span = Span("")
        self.reason: StopReason | None = None
        self.control = RunControl()
        self.missed = 0  # looks at the worker's holdings in a row that did not show this run
        self.leaked = False  # the graph swallowed its cancel and goes on somewhere in this process
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._opening: asyncio.Timeout | None = None

    def stop(self, reason: StopReason) -> None:
        """Stop the graph now. The first reason stands; but a run that is lost is lost, whatever was wanted before.

        Said again, it changes nothing: a flagged run is named with every look at the worker's holdings, and a node that
        cleans up must not be cancelled in that, before `run` finds that it takes too long.
        """
        again = self._stopping.is_set()
        if reason == "lost" or self.reason is None:
            self.reason = reason
        self._stopping.set()
        if self._opening is not None and not self._opening.expired():
            self._opening.reschedule(0)
        if self._task is not None and not again:
            self._task.cancel()

    def drain(self) -> None:
        """Let the graph stop at its next step boundary."""
        self.control.request_drain("the worker is stopping")

    async def open(self, opening: Awaitable[T], *, seconds: float) -> T | None:
        """Wait until a factory has made the graph, for `seconds` at most. None: it was stopped before, see `stopped`.

        The factory runs in its caller's task, in which it is also cleaned up: many a client library insists on that.
        """
        try:
            async with asyncio.timeout(0 if self._stopping.is_set() else seconds) as self._opening:
                return await opening
        except TimeoutError:
            if self._opening is None or not self._opening.expired():
                raise  # the factory's own
            self.reason = self.reason or "timeout"
            return None
        finally:
            self._opening = None

    async def run(self, graph: Coroutine[Any, Any, None], *, seconds: float) -> Outcome | None:
        """Run the graph to its end, for `seconds` at most. None: it was stopped and is to go on elsewhere.

        Raises Fenced when a write of the run was refused, and GraphChanged.
        """
        self._task = asyncio.create_task(graph)
        if self._stopping.is_set():
            self._task.cancel()
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({self._task, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not self._task.done():
            if not self._stopping.is_set():
                self.stop("timeout")
            await asyncio.wait({self._task}, timeout=_CANCEL_AGAIN)
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=_CANCEL_AGAIN)
            if not self._task.done():
                self.leaked = True
                self._task.add_done_callback(_look_at_result)
                return self.stopped()
        return self._result(self._task)

    def _result(self, task: asyncio.Task[None]) -> Outcome | None:
        if task.cancelled():
            # With no reason of ours the graph cancelled itself.
            return self.stopped() if self.reason else Outcome("error", cause=asyncio.CancelledError("cancelled"))
        error = task.exception()
        if error is None:
            return Outcome("success")
        if isinstance(error, Fenced | GraphChanged):
            raise error
        if isinstance(error, GraphDrained):
            self.reason = self.reason or "drain"
        # A graph may turn its cancellation into an error of its own.
        return self.stopped() if self.reason else Outcome("error", cause=error)

    def stopped(self) -> Outcome | None:
        """What a stop makes of the attempt; None: it is to go on elsewhere."""
        if self.reason == "cancel":
            return Outcome("interrupted")
        if self.reason == "timeout":
            return Outcome("timeout", b'{"error":"TimeoutError","message":""}')
        return None


def _look_at_result(task: asyncio.Task[None]) -> None:
    """An abandoned graph ends when its next write is refused; that need not fill asyncio's log."""
    if not task.cancelled():
        task.exception()
