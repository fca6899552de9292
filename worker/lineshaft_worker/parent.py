"""The worker's parent: it holds the lease of one child, which executes the runs.

Two processes, since graphs are other people's code. A graph that blocks the event loop, or holds the GIL, must not look
like a dead worker: the child keeps its lease as long as it shows any life. And a child that does die is noticed here by
its exit, not by a lease that runs out: its runs go on elsewhere at once.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import msgspec

from lineshaft.config.settings import Settings
from lineshaft.health.loop_watch import LoopWatch
from lineshaft.health.parent_watch import Tether
from lineshaft.health.probes import probing
from lineshaft.health.process import Health
from lineshaft.queues.weights import served_queues
from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client, check
from lineshaft.redis.stored_format import check_format
from lineshaft.telemetry import log
from lineshaft.telemetry.metrics import COMMON, render, tell_build
from lineshaft.telemetry.upkeep_metrics import UPKEEP

from .child_metrics import ChildNumbers
from .lease import Lease
from .parent_metrics import CHILDREN_ENDED, PARENT, READY, watch_child
from .reload import Reload
from .run_metrics import RUNS
from .scheduler import Scheduler
from .sender import Sender
from .upkeep import kept_going

logger = log.get("worker parent")
T = TypeVar("T")

# Exit codes of the child (child.py).
EXIT_CANNOT_START = 78  # EX_CONFIG of sysexits.h: starting again would not help
EXIT_REPLACE = 75  # EX_TEMPFAIL: it has drained and wants to be replaced
_FAREWELL_SECONDS = 5.0  # that a stop waits for Redis
_BLOCKED_SECONDS = 12.0  # beyond its grace: a drain waits twice for 5 s
_RESTART_SECONDS = 0.5  # doubled up to 10 s while children die before they are ready


class Parent:
    """Keeps one child running. `run` returns the exit code of the process."""

    def __init__(
        self, settings: Settings, config: str, *, jobs: int, dev: bool, reload: bool = False, queues: str = ""
    ) -> None:
        """`queues` as `--queues` has it."""
        self._settings = settings
        self._jobs = jobs
        self._queues = queues
        self._command = [sys.executable, "-P", "-m", "lineshaft_worker.child", "--config", config, "--jobs", str(jobs)]
        self._command += ["--dev"] * dev + ["--reload"] * reload
        # After an outage that was too short for a grace, what is left of the lease may be a twentieth of it.
        pause = min(1.0, settings.lineshaft_lease_seconds / 20)
        self._client = Client(settings, patience=float("inf"), longest_pause=pause)
        self._sender = Sender(self._client)
        self._tether = Tether()
        self._reload = Reload(config, self._tether, self._tell, everything=reload) if dev else None
        self._stopping = asyncio.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._last_beat = 0.0
        self._ready = False
        self._said_farewell = False
        self._hurried = False
        self._killed_for = ""  # what the child was ended for by us
        self._replaced = False  # the child was asked to make room for one with new code
        self._began = 0.0  # when the child was started, in the host's time
        self._numbers = ChildNumbers(COMMON, RUNS, PARENT, UPKEEP)
        checks = {
            "graphs": lambda: "" if self._ready else "not loaded",
            "draining": lambda: "the worker is stopping" if self._stopping.is_set() else "",
        }
        self._health = Health(self._client, LoopWatch("parent"), checks)

    async def run(self) -> int:
        """Start a child, and another whenever one dies, until SIGTERM or SIGINT; answer probes all the while."""
        tell_build("worker")
        READY.set_function(lambda: self._ready)
        with probing(self._settings, self._health, lambda: render(self._numbers)):
            await self._health.await_redis()
            return await self._run()

    async def _run(self) -> int:
        await check(self._client)
        await check_format(self._client)
        self._queues = await served_queues(self._client, self._queues)
        self._command += ["--queues", self._queues]
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        name = uuid.uuid4().hex[:16]
        beside = {
            "reconciler": Reconciler(self._client, name).run,
            "scheduler of crons": Scheduler(self._client, name).run,
            "sender of webhooks": self._sender.run,
        }
        if self._reload:
            beside["hot reload"] = partial(self._reload.run, self._replace)
        try:
            async with kept_going(beside):
                return await self._keep_child()
        except TimeoutError:
            logger.warning("Redis is away, leaving without a farewell")
            return 0
        finally:
            await self._client.close()

    async def _keep_child(self) -> int:
        """One child after another. Raises TimeoutError when we are to stop and Redis does not hear our farewell."""
        delay = _RESTART_SECONDS
        while True:
            worker = uuid.uuid4().hex[:16]
            with log.bound(worker=worker):
                code = await self._live_one_child(worker)
            if self._stopping.is_set():
                return 0
            if self._replaced:
                continue
            if code == EXIT_CANNOT_START and self._said_farewell:
                return 1
            if code in (0, EXIT_REPLACE) and self._said_farewell and self._ready:
                continue  # it was asked to make room for another
            delay = _RESTART_SECONDS if self._ready else min(10.0, delay * 2)
            logger.warning("the worker's child died, starting another", code=code, seconds=delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    def _stop(self) -> None:
        again = self._hurried = self._stopping.is_set()
        self._stopping.set()
        if self._child is not None:
            # Nothing happens if it has ended: Popen does not signal a process that it has waited for.
            self._child.send_signal(signal.SIGKILL if again else signal.SIGTERM)

    async def _live_one_child(self, worker: str) -> int:
        """A child's whole life: lease, process, renewals, and its runs given back at the end."""
        self._ready = self._said_farewell = self._replaced = False
        self._killed_for = ""
        self._began = time.time()
        lease = Lease(self._client, worker, slots=self._jobs, queues=self._queues)
        await self._unless_stopping(lease, lease.begin())
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
        watch_child(child.pid)
        self._last_beat = time.monotonic()
        renewing = asyncio.create_task(self._keep(lease, child))
        hearing = asyncio.create_task(self._hear(read_end))
        try:
            code = await asyncio.to_thread(child.wait)
            # What graphs have started and left behind: it has the child's connections, and nobody else will end it.
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of dead processes
                os.killpg(child.pid, signal.SIGKILL)
            # Seconds: what the child wrote last is in the pipe; a grandchild that kept the pipe open must not hold us.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hearing, 1)
        finally:
            for task in (renewing, hearing):
                task.cancel()
            await asyncio.gather(renewing, hearing, return_exceptions=True)
            self._numbers.replace_child()
        CHILDREN_ENDED.labels(self._why_ended()).inc()
        # A code tells nothing: graphs may call `os._exit(0)`. And that we were hurried is not the runs' fault.
        crashed = not self._said_farewell and not self._hurried and not self._replaced
        released = await self._unless_stopping(lease, lease.release(crashed=crashed))
        if released:
            logger.warning("gave back the runs of a child that died", runs=released, code=code)
        return code

    def _why_ended(self) -> str:
        if self._killed_for:
            return self._killed_for
        if self._said_farewell or self._replaced:
            return "stopped" if self._stopping.is_set() else "replaced"
        return "died"

    async def _keep(self, lease: Lease, child: "subprocess.Popen[bytes]") -> None:
        self._killed_for = await lease.keep(child, lambda: self._last_beat)
        child.kill()

    async def _unless_stopping(self, lease: Lease, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a Redis that is away, but when we stop only for a moment: our lease's end does the rest.

        Raises TimeoutError then.
        """
        # A lease that has run out meanwhile needs no farewell: others have its runs.
        has_lease = lease.is_held
        calling = asyncio.ensure_future(call)
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({calling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return await asyncio.wait_for(calling, _FAREWELL_SECONDS if has_lease else 1)  # seconds

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
        if event["event"] == "numbers":
            self._numbers.hear(event["samples"])
            return
        if event["event"] == "farewell":
            self._said_farewell = True
            return
        if event["event"] == "ready":
            self._ready = self._health.has_started = True
        if self._reload:
            self._reload.hear(event, self._began)
        self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        """Pass news on to whoever has started us."""
        if fd := os.environ.get("LINESHAFT_STATUS_FD"):
            with contextlib.suppress(BrokenPipeError):  # whoever wanted to know has gone
                os.write(int(fd), msgspec.json.encode(event) + b"\n")

    def _replace(self) -> None:
        """Let the child hand back its runs at their next step, and make room for one with new code."""
        if (child := self._child) is None or self._stopping.is_set():
            return
        self._replaced = True
        if not self._ready:
            child.kill()  # while it loads there is nothing to hand back
            return
        child.send_signal(signal.SIGTERM)
        # Code that blocks its event loop does not hear that.
        patience = self._settings.bg_job_shutdown_grace_period_secs + _BLOCKED_SECONDS
        asyncio.get_running_loop().call_later(patience, child.kill)
