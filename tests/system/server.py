"""A real `lineshaft dev` in a folder of its own, for tests that look at it from outside."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

# Seconds. A start takes two or three; a busy machine may need many times that.
START_PATIENCE = 60.0
COMMAND = [str(Path(sys.executable).with_name("lineshaft"))]
# Variables that would make the developer's shell part of a test.
_FOREIGN = ("REDIS_", "LINESHAFT_", "N_JOBS_", "BG_JOB_", "OPENAI_", "LANGSMITH_", "LANGGRAPH_", "LOG_")


class Process(NamedTuple):
    pid: int
    parent: int
    command: str


def wait_until(condition: Callable[[], object], what: str, patience: float = 10.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {patience} s: {what}")
        time.sleep(0.02)


def processes() -> list[Process]:
    """All processes that are not dead; a zombie is, its parent just has not looked."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-Ao", "pid=,ppid=,state=,command="], check=True, capture_output=True, text=True
        )
        rows = [line.split(None, 3) for line in listing.stdout.splitlines()]
        return [Process(int(row[0]), int(row[1]), row[-1]) for row in rows if not row[2].startswith("Z")]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if state not in {"Z", "X"}:
            found.append(Process(int(folder.name), int(parent), command.strip()))
    return found


def descendants(pid: int) -> list[Process]:
    everybody = processes()
    family = [p for p in everybody if p.pid == pid]
    for member in family:
        family += [p for p in everybody if p.parent == member.pid]
    return family[1:]


def is_alive(pid: int) -> bool:
    return any(p.pid == pid for p in processes())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what a developer may have set for Lineshaft, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


class Program:
    """A program whose output goes to a file: a pipe that nobody reads would block it."""

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.argv = list(argv)
        self.folder = folder
        self.log = folder / f"output-{uuid.uuid4().hex[:8]}.log"
        self._env = clean_environment(env)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def output(self) -> str:
        """What it and its children have printed, both streams."""
        return self.log.read_text(errors="replace")

    def start(self) -> Self:
        """Start it without waiting for anything."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.argv, cwd=self.folder, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def wait_for_output(self, text: str, patience: float = 15.0, count: int = 1) -> None:
        """Wait until it has printed `text`, `count` times."""
        deadline = time.monotonic() + patience
        while self.output.count(text) < count:
            if not self.running or time.monotonic() > deadline:
                pytest.fail(f"it did not say {text!r} ({count} times):\n{self.output}")
            time.sleep(0.02)

    def pids(self) -> list[int]:
        """All its processes, itself first."""
        return [self.pid, *(p.pid for p in descendants(self.pid))]

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit code."""
        assert self.process
        self.process.send_signal(signum)
        return self.wait()

    def wait(self, patience: float = 15.0) -> int:
        """Wait for its end; returns its exit code."""
        assert self.process
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"it did not end within {patience} s:\n{self.output}")

    def kill(self) -> None:
        """SIGKILL: it cannot clean up."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.stop()


class DevServer(Program):
    """`lineshaft dev`, started in `folder` (its data go there) and ready when the `with` block begins.

    with DevServer(tmp_path, "--workers", "2", env={"LINESHAFT_APPENDFSYNC": "always"}) as server:
        httpx.get(server.url + "/ok")
    """

    def __init__(
        self,
        folder: Path,
        *args: str,
        config: Path | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        chosen = ["--config", str(config)] if config else []
        super().__init__([*COMMAND, "dev", "--port", str(self.port), *chosen, *args], folder, env)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            if self.running:
                self.kill()
            raise
        return self

    def wait_until_ready(self) -> None:
        self.wait_for_output("ready in", START_PATIENCE)

    def find(self, part: str) -> list[int]:
        """The processes of a part that the supervisor has started: `gateway`, `worker` or `redis`."""
        mark = {"gateway": "-m lineshaft_api", "worker": "-m lineshaft_worker", "redis": "-server "}[part]
        return [p.pid for p in descendants(self.pid) if p.parent == self.pid and mark in p.command]
