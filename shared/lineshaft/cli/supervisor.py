"""Keeps the processes of `dev` running, and takes them all down again."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

import msgspec

from lineshaft.errors import ConfigError
from lineshaft.health.parent_watch import Tether

Role = Literal["redis", "gateway", "worker"]
Status = dict[str, Any]

# Who stops when: seconds after the stop began at which SIGKILL ends what is left of it. Workers first: they hand back
# their runs. Redis last: everybody writes to it. All within 5 s.
_STOP: tuple[tuple[Role, float], ...] = (("worker", 3.2), ("gateway", 3.8), ("redis", 4.5))
# Seconds before a dead process is started again: doubled each time up to the longest, afresh after a good while.
_FIRST_DELAY, _LONGEST_DELAY, _GOOD_WHILE = 1.0, 10.0, 30.0
STATUS_FD = "LINESHAFT_STATUS_FD"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A process to keep running: how it is started, and how it ends if we die."""

    name: str
    role: Role
    argv: list[str]
    env: dict[str, str]
    keep_fds: tuple[int, ...] = ()
    death_signal: signal.Signals = signal.SIGKILL
    watches: bool = True  # whether it calls die_with_parent itself
    log: Path | None = None  # its output goes here instead of to the terminal


class Child:
    """One part's process, and the one after it when that has died.

    What it writes to LINESHAFT_STATUS_FD, lines of JSON, goes to `on_status`; `{"event": "ready"}` makes it ready.
    """

    def __init__(self, part: Part, tether: Tether, on_status: Callable[[Status], None]) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self._tether = tether
        self._on_status = on_status
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = asyncio.Event()
        self._exited.set()

    def start(self) -> None:
        """Start its process. Raises ConfigError if there is no such program."""
        read_end, write_end = os.pipe()
        with contextlib.ExitStack() as ours:
            ours.callback(os.close, write_end)  # the child has its own; without ours, its end is the pipe's end
            try:
                self._process = self._tether.start(
                    self.part.argv,
                    env={**self.part.env, STATUS_FD: str(write_end)},
                    death_signal=self.part.death_signal,
                    watches=self.part.watches,
                    pass_fds=(*self.part.keep_fds, write_end),
                    stdout=ours.enter_context(self.part.log.open("ab")) if self.part.log else None,
                )
            except OSError as error:
                os.close(read_end)
                raise ConfigError(f"cannot start {self.part.name}: {error.filename}: {error.strerror}") from None
        self._exited.clear()
        self._listen(read_end)

    def _listen(self, fd: int) -> None:
        os.set_blocking(fd, False)
        loop = asyncio.get_running_loop()
        pending = b""

        def read() -> None:
            nonlocal pending
            if not (data := os.read(fd, 65536)):
                loop.remove_reader(fd)
                os.close(fd)
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self._heard(line)

        loop.add_reader(fd, read)

    def _heard(self, line: bytes) -> None:
        try:
            status = msgspec.json.decode(line, type=Status)
        except msgspec.DecodeError:
            return  # half a line of a process that was killed
        if status.get("event") == "ready":
            self.ready.set()
        self._on_status(status)

    def reap(self) -> None:
        """Called at SIGCHLD: note its end, and kill what it has left in its session."""
        if self._process and not self._exited.is_set() and self._process.poll() is not None:
            self._kill_session(self._process.pid)
            self._exited.set()

    async def exit_code(self) -> int:
        """Wait until it is gone; minus the signal that killed it."""
        await self._exited.wait()
        return self._process.returncode if self._process else 0

    def terminate(self) -> None:
        """Ask it to stop."""
        if self._process and not self._exited.is_set():
            self._process.terminate()

    def kill(self) -> None:
        """Kill it and what else is in its session."""
        if self._process and not self._exited.is_set():
            self._kill_session(self._process.pid)

    @staticmethod
    def _kill_session(leader: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of dead processes
            os.killpg(leader, signal.SIGKILL)


class Supervisor:
    """Runs until it is told to stop by SIGINT, SIGTERM or SIGHUP, or until a part cannot start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._tether = Tether()
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.hurried = False  # a second signal came: everything was killed

    async def run(self, start_up: Coroutine[Any, Any, None]) -> None:
        """Do `start_up`, keep what it starts, and stop it all at the end. Raises the ConfigError that ended it."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup ignores it: so do we
                loop.add_signal_handler(signum, self._on_signal)
        loop.add_signal_handler(signal.SIGCHLD, self._on_child)
        self._watch(start_up)
        try:
            await self._over
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._stop_all()

    def start(self, part: Part, on_status: Callable[[Status], None] = lambda _: None) -> Child:
        """Start a part and keep it running."""
        child = Child(part, self._tether, on_status)
        child.start()
        self._children.append(child)
        self._watch(self._keep(child))
        return child

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        started = loop.time()
        while True:
            code = await child.exit_code()
            if code >= 0 and not child.ready.is_set():
                raise ConfigError(f"{child.part.name} did not start ({_describe(code)}){_last_words(child.part)}")
            if loop.time() - started > _GOOD_WHILE:
                delay = _FIRST_DELAY
            self._say(f"{child.part.name} stopped ({_describe(code)}), starting it again in {delay:.0f} s")
            await asyncio.sleep(delay)
            delay = min(_LONGEST_DELAY, delay * 2)
            started = loop.time()
            child.start()

    async def _stop_all(self) -> None:
        began = asyncio.get_running_loop().time()
        for role, limit in _STOP:
            group = [child for child in self._children if child.part.role == role]
            for child in group:
                child.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(began + limit):
                    for child in group:
                        await child.exit_code()
            for child in group:
                child.kill()
                await child.exit_code()

    def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) and not self._over.done():
                self._over.set_exception(error)

        task = asyncio.ensure_future(work)
        task.add_done_callback(ended)
        self._tasks.append(task)

    def stop(self) -> None:
        """End `run`."""
        if not self._over.done():
            self._over.set_result(None)

    def _on_signal(self) -> None:
        if not self._over.done():
            self.stop()
            self._say("stopping...")
            return
        self.hurried = True
        for child in self._children:
            child.kill()

    def _on_child(self) -> None:
        for child in self._children:
            child.reap()


def _describe(code: int) -> str:
    names = {signum.value: signum.name for signum in signal.Signals}
    return f"exit code {code}" if code >= 0 else names.get(-code, f"signal {-code}")


def _last_words(part: Part) -> str:
    """The last line of its log; what goes to the terminal is there already."""
    if part.log is None:
        return ""
    lines = part.log.read_text(errors="replace").split("\n")
    return f": {next((line for line in reversed(lines) if line.strip()), 'no output')} (see {part.log})"
