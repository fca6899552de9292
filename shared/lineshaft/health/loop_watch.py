"""Looks whether an event loop turns: how late it comes to a timer, and for how long it has not come at all."""

import asyncio
import time

from lineshaft.telemetry.metrics import LOOP_LAG, LOOP_STALLS

_PAUSE = 0.5  # seconds between two looks: a stall of a second is always seen, and it costs next to nothing
_STALL = 1.0  # seconds, after which whoever shares the loop notices


class LoopWatch:
    """The watch of one loop; `process` is `gateway`, `parent` or `child`."""

    def __init__(self, process: str) -> None:
        self._lag = LOOP_LAG.labels(process)
        self._stalls = LOOP_STALLS.labels(process)
        self._timer: asyncio.TimerHandle | None = None
        self._turned = time.monotonic()

    def start(self) -> None:
        """Call it from the loop."""
        self._turned = time.monotonic()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_PAUSE, self._turn, loop, loop.time() + _PAUSE)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._turned = time.monotonic()
        late = max(0.0, loop.time() - due)
        self._lag.observe(late)
        if late >= _STALL:
            self._stalls.inc()
        self._timer = loop.call_later(_PAUSE, self._turn, loop, loop.time() + _PAUSE)

    @property
    def stuck(self) -> float:
        """Seconds for which the loop has been overdue; any thread may ask."""
        return max(0.0, time.monotonic() - self._turned - _PAUSE)
