"""The worker's parent: it holds the lease of one child, which executes the runs.

Two processes, since graphs are other people's code. A graph that blocks the event loop, or holds the GIL, must not look
like a dead worker: the child keeps its lease as long as it shows any life. And a child that does die is noticed here by
its exit, not by a lease that runs out: its runs go on elsewhere at once.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from lineshaft import log
from lineshaft.parent_watch import Tether
from lineshaft.redis import Client, check
from lineshaft.settings import Settings

from .life import cpu_seconds

logger = log.get("worker parent")

# Exit codes of the child (child.py).
EXIT_CANNOT_START = 78  # EX_CONFIG of sysexits.h: starting again would not help
EXIT_REPLACE = 75  # EX_TEMPFAIL: it has drained and wants to be replaced
_FAREWELL_SECONDS = 5.0  # that a stop waits for Redis
_RESTART_SECONDS = 0.5  # doubled up to 10 s while children die before they are ready


class Parent:
    """Keeps one child running. `run` returns the exit code of the process."""

    def __init__(self, settings: Settings, config: str, *, jobs: int, dev: bool) -> None:
        self._settings = settings
        self._lease = settings.lineshaft_lease_seconds
        self._command = [sys.executable, "-P", "-m", "lineshaft_worker.child", "--config", config, "--jobs", str(jobs)]
        if dev:
            self._command.append("--dev")
        self._client = Client(settings, patience=float("inf"))
        self._tether = Tether()
        self._stopping = asyncio.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._last_beat = 0.0
        self._ready = False

    async def run(self) -> int:
        """Start a child, and another whenever one dies, until SIGTERM or SIGINT."""
        await check(self._client)
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        delay = _RESTART_SECONDS
        try:
            while True:
                code = await self._live_one_child()
                if self._stopping.is_set():
                    return 0
                if code == EXIT_CANNOT_START:
                    return 1
                if code in (0, EXIT_REPLACE) and self._ready:
                    continue  # it was asked to make room for another
                delay = _RESTART_SECONDS if self._ready else min(10.0, delay * 2)
                logger.warning("the worker's child died, starting another", code=code, seconds=delay)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)
        except TimeoutError:
            logger.warning("Redis is away, leaving without a farewell")
            return 0
        finally:
            await self._client.close()

    def _stop(self) -> None:
        again = self._stopping.is_set()
        self._stopping.set()
        if self._child is not None:
            # Nothing happens if it has ended: Popen does not signal a process that it has waited for.
            self._child.send_signal(signal.SIGKILL if again else signal.SIGTERM)

    async def _live_one_child(self) -> int:
        """A child's whole life: lease, process, renewals, and its runs given back at the end."""
        worker = uuid.uuid4().hex[:16]
        self._ready = False
        await self._unless_stopping(self._renew(worker, begin=True))
        if self._stopping.is_set():
            return 0  # the signal came while there was no child to pass it on to
        read_end, write_end = os.pipe()
        environment = {
            **os.environ,
            "LINESHAFT_WORKER_ID": worker,
            "LINESHAFT_LIFE_FD": str(write_end),
        }
        child = self._child = self._tether.start(self._command, env=environment, pass_fds=[write_end])
        os.close(write_end)
        self._last_beat = time.monotonic()
        renewing = asyncio.create_task(self._keep_lease(worker, child))
        hearing = asyncio.create_task(self._hear(read_end))
        try:
            code = await asyncio.to_thread(child.wait)
            # Seconds: what the child wrote last is in the pipe; a grandchild that kept the pipe open must not hold us.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hearing, 1)
        finally:
            for task in (renewing, hearing):
                task.cancel()
            await asyncio.gather(renewing, hearing, return_exceptions=True)
        crashed = code not in (0, EXIT_REPLACE, EXIT_CANNOT_START)
        released = await self._unless_stopping(
            self._client.script(
                "worker_release",
                worker=worker,
                crashed=crashed,
                max_crashes=self._settings.lineshaft_max_crashes,
            )
        )
        if released:
            logger.warning("gave back the runs of a child that died", runs=released, code=code)
        return code

    async def _unless_stopping(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a Redis that is away, but when we stop only for a moment: our lease's end does the rest.

        Raises TimeoutError then.
        """
        calling = asyncio.ensure_future(call)
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({calling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return await asyncio.wait_for(calling, _FAREWELL_SECONDS)

    # the lease

    async def _renew(self, worker: str, *, begin: bool) -> bool:
        info = ["host", socket.gethostname(), "pid", os.getpid()] if begin else []
        held = await self._client.script(
            "worker_renew",
            worker=worker,
            begin=begin,
            lease=int(self._lease * 1000),
            max_crashes=self._settings.lineshaft_max_crashes,
            info=info,
        )
        return bool(held)

    async def _keep_lease(self, worker: str, child: "subprocess.Popen[bytes]") -> None:
        """Renew while the child shows life: a beat of its thread, or CPU time it used (a held GIL stops the beat)."""
        pid, used, alive_at = child.pid, 0.0, time.monotonic()
        while True:
            await asyncio.sleep(self._lease * 0.3 * (0.85 + 0.3 * random.random()))
            now_used = cpu_seconds(pid)
            if now_used > used or self._last_beat > alive_at:
                used, alive_at = now_used, time.monotonic()
            if time.monotonic() - alive_at > self._lease:
                logger.error("the child shows no sign of life, ending it", pid=pid, seconds=self._lease)
                child.kill()
                return
            if not await self._renew(worker, begin=False):
                logger.error("the lease was lost, ending the child: others have its runs", worker=worker)
                child.kill()
                return

    # what the child says

    async def _hear(self, fd: int) -> None:
        """Lines from the child: empty ones are beats, the others are news for whoever started us."""
        reader = asyncio.StreamReader(limit=2**20)  # a line may name many files
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb")
        )
        try:
            while line := await reader.readline():
                self._last_beat = time.monotonic()
                if line.strip():
                    self._note(line)
        finally:
            transport.close()

    def _note(self, line: bytes) -> None:
        event = msgspec.json.decode(line)
        if event["event"] == "ready":
            self._ready = True
        if files := event.pop("files", None):
            self._watch(files)
        if fd := os.environ.get("LINESHAFT_STATUS_FD"):
            with contextlib.suppress(BrokenPipeError):  # whoever wanted to know has gone
                os.write(int(fd), msgspec.json.encode(event) + b"\n")

    def _watch(self, files: list[str]) -> None:
        """A graph did not load: when one of these files changes, drain this child and start another."""
        asyncio.get_running_loop().create_task(self._replace_on_change(self._child, files))

    async def _replace_on_change(self, child: "subprocess.Popen[bytes] | None", files: list[str]) -> None:
        before = [_changed(file) for file in files]
        while child is self._child and not self._stopping.is_set():
            if [_changed(file) for file in files] != before:
                logger.info("a file of a graph that did not load has changed, trying again")
                if child is not None:
                    child.send_signal(signal.SIGTERM)
                return
            await asyncio.sleep(0.5)  # seconds: a person has just saved a file


def _changed(file: str) -> float:
    try:
        return Path(file).stat().st_mtime
    except OSError:
        return 0.0
