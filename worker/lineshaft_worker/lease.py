"""The lease of one child, which its parent holds for it: who has none any more loses its runs to others."""

import asyncio
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable

from lineshaft import __version__
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

from .life import cpu_seconds
from .parent_metrics import RENEWED

logger = log.get("worker parent")


class Lease:
    """That of one incarnation of the worker. `slots` are runs at a time, `queues` as `--queues` has it."""

    def __init__(self, client: Client, worker: str, *, slots: int, queues: str) -> None:
        self._client = client
        self._worker = worker
        self._seconds = client.settings.lineshaft_lease_seconds
        self._about = {
            "host": socket.gethostname(), "pid": os.getpid(), "slots": slots, "version": __version__, "queues": queues,
        }  # fmt: skip
        self._renewed_at = 0.0

    @property
    def is_held(self) -> bool:
        """Whether it has not run out, as far as we can tell."""
        return time.monotonic() - self._renewed_at < self._seconds

    async def begin(self) -> None:
        """Hold it from now on, and tell operators who we are."""
        await self._renew(info=[part for pair in self._about.items() for part in pair])

    async def keep(self, child: "subprocess.Popen[bytes]", last_beat: Callable[[], float]) -> str:
        """Renew it while the child shows life: a beat of its thread, or CPU time it used (a held GIL stops the beat).

        `last_beat` is a time of the monotonic clock. Returns why it ends: `silent` or `lease_lost`.
        """
        used, alive_at = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(self._seconds * 0.3 * (0.85 + 0.3 * random.random()))
            now_used = cpu_seconds(child.pid)
            if now_used > used or last_beat() > alive_at:
                used, alive_at = now_used, time.monotonic()
            if time.monotonic() - alive_at > self._seconds:
                logger.error("the child shows no sign of life, ending it", pid=child.pid, seconds=self._seconds)
                return "silent"
            if not await self._renew():
                logger.error("the lease was lost, ending the child: others have its runs")
                return "lease_lost"

    async def release(self, *, crashed: bool) -> int:
        """Give back the runs that it has; `crashed` counts against each. Returns how many."""
        limit = self._client.settings.bg_job_max_retries
        released = await self._client.script("worker_release", worker=self._worker, crashed=crashed, max_crashes=limit)
        return int(released)

    async def _renew(self, info: "list[object] | None" = None) -> bool:
        held = await self._client.script(
            "worker_renew",
            worker=self._worker,
            begin=info is not None,
            lease=int(self._seconds * 1000),
            max_crashes=self._client.settings.bg_job_max_retries,
            info=info or [],
        )
        self._renewed_at = time.monotonic()
        RENEWED.set_to_current_time()
        return bool(held)
