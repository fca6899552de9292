"""Redis, gateways and workers, each a process that a test holds by itself: no supervisor restarts what it kills."""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from lineshaft.redis.keys import Keys
from tests.conftest import server_binary
from tests.system.journal import until
from tests.system.line import Line
from tests.system.server import START_PATIENCE, Program, descendants, free_port, wait_until

CONFIG = Path(__file__).parent / "graphs" / "faults.json"
KEYS = Keys()
# Seconds: short enough to wait for, and longer than a busy machine keeps a worker from renewing it.
LEASE = 2.0
# A gateway's grace is that of `dev`: tests wait for its end.
ENVIRONMENT = {"LINESHAFT_LEASE_SECONDS": str(LEASE), "LINESHAFT_GATEWAY_GRACE_SECONDS": "2", "LOG_JSON": "true"}


class Part(Program):
    """One process, which logs lines of JSON."""

    def events(self, event: str) -> list[dict[str, Any]]:
        """What it has logged under this name."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line.get("event") == event]


class Gateway(Part):
    @property
    def url(self) -> str:
        [listening] = self.events("listening")
        return str(listening["url"])

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


class Worker(Part):
    """A worker whose only way to Redis is a line of its own."""

    line: Line
    probes: str  # URL of its probes and metrics

    @property
    def children(self) -> list[int]:
        """The pids of the processes that execute its runs: one, or none while it is being replaced."""
        return [p.pid for p in descendants(self.pid) if p.parent == self.pid]

    @property
    def child(self) -> int:
        """The pid of the process that executes its runs."""
        [child] = self.children
        return child


class Fleet:
    """An installation in one folder. Parts are added at any time; all end with it."""

    def __init__(self, *, env: Mapping[str, str] | None = None) -> None:
        # Not pytest's folder: the path of a unix socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="ls-"))
        self._env = {**ENVIRONMENT, **(env or {})}
        self._socket = str(self.folder / "s")
        self.gateways: list[Gateway] = []
        self.probes_port = free_port()  # for one of them
        self.workers: list[Worker] = []
        argv = [server_binary(), "--port", "0", "--unixsocket", self._socket, "--dir", str(self.folder)]
        self.server = Part([*argv, "--save", "", "--appendonly", "yes", "--loglevel", "warning"], self.folder)
        # Of redis.Redis the annotations are those of both its clients.
        self.redis: Any = redis.Redis(unix_socket_path=self._socket)

    def __enter__(self) -> Self:
        self.server.start()
        wait_until(self._answers, "Redis answers", START_PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (*self.workers, *self.gateways, self.server):
            if part.running:
                part.kill()
        for worker in self.workers:
            worker.line.close()
        self.redis.close()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        """Of the first gateway."""
        return self.gateways[0].url

    def gateway(self, port: int = 0, **env: str) -> Gateway:
        """Start a gateway; it may not listen yet."""
        argv = [sys.executable, "-P", "-m", "lineshaft_api", "--port", str(port)]
        gateway = Gateway(argv, self.folder, {**self._env, "REDIS_URI": f"unix://{self._socket}", **env})
        self.gateways.append(gateway)
        return gateway.start()

    def worker(self, config: Path = CONFIG, **env: str) -> Worker:
        """Start a worker; it may not look for work yet."""
        line = Line(self._socket)
        argv = [sys.executable, "-P", "-m", "lineshaft_worker", "--config", str(config)]
        probes = free_port()
        ours = {"REDIS_URI": line.uri, "LINESHAFT_PROBES_PORT": str(probes)}
        worker = Worker(argv, self.folder, {**self._env, **ours, **env})
        worker.line, worker.probes = line, f"http://127.0.0.1:{probes}"
        self.workers.append(worker)
        return worker.start()

    def of(self, pid: int) -> Worker:
        """The worker whose child has this pid."""
        return next(worker for worker in self.workers if worker.running and pid in worker.pids())

    def incarnations(self) -> dict[int, str]:
        """Of the workers that have looked for work, and so will hear of the next run: pid of the parent -> id."""
        ids = [worker.decode() for worker in self.redis.zrange(KEYS.workers(), 0, -1)]
        known = {worker: self.redis.hmget(KEYS.worker(worker), "pid", "request") for worker in ids}
        return {int(pid): worker for worker, (pid, request) in known.items() if pid and request}

    async def ready(self) -> None:
        """Wait until all gateways listen, and all running workers, and no others, look for work."""

        def are_ready() -> bool:
            living = sorted(worker.pid for worker in self.workers if worker.running)
            listening = [gateway.events("listening") for gateway in self.gateways if gateway.running]
            return all(listening) and sorted(self.incarnations()) == living

        await until(are_ready, "all gateways listen, all workers look for work")

    def record(self, run_id: str) -> dict[str, str]:
        """A run's hash, as far as it is text."""
        found = self.redis.hgetall(KEYS.run(run_id))
        return {name.decode(): value.decode(errors="replace") for name, value in found.items()}
