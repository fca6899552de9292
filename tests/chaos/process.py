"""One process of the cell, with its children: started, struck, and started again by the driver alone."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from lineshaft.health.parent_watch import Tether
from tests.system.server import descendants


class Slot:
    """A place in the cell and the process that fills it now. `lock` is held by the fault that is being done to it."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str], log: Path, tether: Tether) -> None:
        self.name = name
        self.argv = argv
        self.env = env
        self.log = log
        self.lock = asyncio.Lock()
        self._tether = tether
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it, in the main thread; it dies with the driver, whatever happens to that."""
        with self.log.open("ab") as log:
            self._process = self._tether.start(self.argv, env=self.env, stdout=log)

    def children(self) -> set[int]:
        return {process.pid for process in descendants(self.pid)} if self.running else set()

    def pids(self) -> set[int]:
        """The process and its children."""
        return {self.pid, *self.children()} if self.running else set()

    def signal(self, pid: int, signum: signal.Signals) -> None:
        """Signal one of its processes, if it is still that: a number may belong to a stranger by now."""
        with contextlib.suppress(ProcessLookupError):  # it ends at this very moment
            if pid in self.pids():
                os.kill(pid, signum)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.running:
            self.signal(self.pid, signal.SIGKILL)
        await self.gone()

    async def gone(self, patience: float | None = None) -> bool:
        """Wait until it has ended, `patience` seconds at most."""
        assert self._process
        try:
            await asyncio.to_thread(self._process.wait, patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    async def stop(self, patience: float) -> bool:
        """SIGTERM; after `patience` seconds SIGKILL. Whether the first was enough."""
        if not self.running:
            return True
        self.signal(self.pid, signal.SIGTERM)
        if await self.gone(patience):
            return True
        await self.kill()
        return False
