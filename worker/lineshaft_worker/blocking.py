"""Names the code that blocks the event loop: while it does, every other run of the worker stands still."""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable

from lineshaft.telemetry import log

logger = log.get("worker")

_LOOK_SECONDS = 0.5
_BLOCKED_SECONDS = 1.0  # what a run that shares the loop notices; a long step of pure Python may take half of it
_FRAMES = 12  # of the stack, the innermost


class BlockingWatch:
    """Looks from a thread whether the loop still turns. `runs` tells which runs are under way."""

    def __init__(self, runs: Callable[[], Iterable[str]]) -> None:
        self._runs = runs
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turned = time.monotonic()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Call it from the loop's thread."""
        threading.Thread(target=self._watch, name="blocking-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _watch(self) -> None:
        said_of = 0.0
        self._loop.call_soon_threadsafe(self._turn)
        while not self._stopped.wait(_LOOK_SECONDS):
            seen = self._turned
            blocked = time.monotonic() - seen
            if blocked < _BLOCKED_SECONDS + _LOOK_SECONDS:
                try:
                    self._loop.call_soon_threadsafe(self._turn)
                except RuntimeError:
                    return  # the loop has closed
            elif seen != said_of:  # once for each time
                said_of = seen
                logger.warning(
                    "the event loop is blocked: all runs of this worker wait for the code at the end of this stack",
                    seconds=round(blocked, 1),
                    runs=list(self._runs()),
                    stack=self._stack(),
                )

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way to see another thread
        return "".join(traceback.format_stack(frame)[-_FRAMES:]) if frame else ""
