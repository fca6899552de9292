"""The threads in which plain function nodes run. One that is stuck cannot be stopped, only be left behind."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from typing_extensions import override

from lineshaft.telemetry import log

from .copies import end_copy, exit_as

T = TypeVar("T")
logger = log.get("worker")

# A run may have several nodes at once. asyncio's own limit is the number of cores and four: on a small machine fewer
# than runs at a time, and that many stuck nodes would stop all others for good. Threads are made when they are needed.
_THREADS_PER_JOB = 8
_STUCK_SECONDS = 10.0  # as long as a coroutine has to obey its cancel, see execution.py
_STUCK_THREADS = 3  # as many as there may be tasks that swallow their cancel, see worker.py


class Threads(ThreadPoolExecutor):
    """For `loop.set_default_executor`. Calls `on_stuck` in the loop when too many threads outlive their cancel."""

    def __init__(self, jobs: int, on_stuck: Callable[[], object]) -> None:
        super().__init__(_THREADS_PER_JOB * jobs, thread_name_prefix="node")
        self._on_stuck = on_stuck
        self._loop = asyncio.get_running_loop()
        self._stuck: set[Future[Any]] = set()

    @override
    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run it in a thread; see the class."""
        future = super().submit(_execute, os.getpid(), fn, *args, **kwargs)
        cancel = future.cancel

        def cancel_and_watch() -> bool:
            cancelled = cancel()
            if not cancelled and not future.done():
                self._loop.call_later(_STUCK_SECONDS, self._look, future)
            return cancelled

        future.cancel = cancel_and_watch  # type: ignore[method-assign]  # asyncio calls it when its own one is cancelled
        return future

    def _look(self, future: Future[Any]) -> None:
        self._stuck = {other for other in self._stuck if not other.done()}
        if future.done() or future in self._stuck:
            return
        self._stuck.add(future)
        logger.warning("a node goes on in its thread although its run was stopped", stuck=len(self._stuck))
        if len(self._stuck) == _STUCK_THREADS:
            logger.error("too many nodes are stuck in their threads, replacing this worker")
            self._on_stuck()


def _execute(worker: int, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Do it. Should a copy of the process that `fn` has forked come back from it, it would wait for work for ever."""
    try:
        return fn(*args, **kwargs)
    except SystemExit as error:
        if os.getpid() != worker:
            exit_as(error)
        raise
    finally:
        if os.getpid() != worker:
            end_copy()
