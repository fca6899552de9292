"""The cell under test: one Redis, two gateways and three workers; one of each reaches Redis through a proxy."""

import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio
import redis.exceptions as rx

from lineshaft.health.parent_watch import Tether
from lineshaft.redis.keys import Keys
from tests.chaos.process import Slot
from tests.chaos.proxy import Proxy
from tests.conftest import server_binary
from tests.system.server import clean_environment, free_port, processes

KEYS = Keys()
LEASE = 2.0  # seconds: short, so that a minute has room for many losses of it
GRACE = 1.0  # seconds that a draining worker lets its runs go on: less than some runs take
START_PATIENCE = 90.0  # seconds; a start takes three, and other work on the machine may multiply that
STOP_PATIENCE = 20.0  # seconds: the grace, two waits of five seconds for what ignores it, and a busy machine
CONFIG = Path(__file__).parent / "graphs" / "langgraph.json"
QUEUES = ("overflow", "runs", "batch")
# Fewer than there are slots, so that runs are parked and called all the time.
EXECUTOR = {"queues": {"batch": {}}, "limits": {"graphs": {"walk": 8}}}
MARK = "CHAOS_CELL"  # in the environment of every process of the cell, and of all that these start


class Cell:
    """Its processes, files and addresses."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ls-chaos-"))
        self.journal = self.folder / "journal"
        self.socket = self.folder / "s"
        self.ports = [free_port(), free_port()]
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.proxies = {name: Proxy(str(self.socket)) for name in ("gateway-1", "worker-2")}
        self.workers: list[Slot] = []
        self.gateways: list[Slot] = []
        self._tether = Tether()
        self._mark = uuid.uuid4().hex
        self.client: Any = redis.asyncio.Redis(
            unix_socket_path=str(self.socket),
            socket_timeout=5,  # seconds: it may be stopped just now
        )
        self.redis = self._slot("redis", self._redis_command(), {})

    def _redis_command(self) -> list[str]:
        options = {
            "port": 0, "unixsocket": self.socket, "unixsocketperm": 700, "dir": self.folder, "save": "",
            "appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "loglevel": "notice",
        }  # fmt: skip
        return [server_binary(), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]

    def _slot(self, name: str, argv: list[str], env: dict[str, str]) -> Slot:
        env = clean_environment({MARK: self._mark, **env})
        return Slot(name, argv, env, self.folder / f"{name}.log", self._tether)

    def slots(self) -> list[Slot]:
        return [self.redis, *self.gateways, *self.workers]

    async def start(self) -> None:
        """Start everything, and wait until all of it is ready."""
        self.redis.start()
        await until(self.redis_answers, "Redis answers")
        proxied = {name: await proxy.start() for name, proxy in self.proxies.items()}
        env = {
            "LINESHAFT_LEASE_SECONDS": str(LEASE),
            "LINESHAFT_EVENTS_TTL_SECONDS": "86400",  # a day: the whole logs are read in the end
            "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": str(GRACE),
            "LINESHAFT_GATEWAY_GRACE_SECONDS": str(GRACE),
            "LINESHAFT_RECONCILE_SECONDS": "2",  # so that what is inconsistent for a moment only is found, too
            "LINESHAFT_EXECUTOR": json.dumps(EXECUTOR),
            "LOG_JSON": "true",
            "CHAOS_JOURNAL": str(self.journal),
        }
        python = [sys.executable, "-P", "-m"]
        for number, port in enumerate(self.ports):
            self.gateways.append(self._slot(f"gateway-{number}", [*python, "lineshaft_api", "--port", str(port)], env))
        for number in range(3):
            argv = [*python, "lineshaft_worker", "--config", str(CONFIG), "--jobs", "6"]
            argv += ["--queues", "runs:3,batch:1"] * (number == 0)
            self.workers.append(self._slot(f"worker-{number}", argv, env))
        for slot in (*self.gateways, *self.workers):
            way = proxied.get(slot.name)
            slot.env["REDIS_URI"] = f"redis://127.0.0.1:{way}" if way else f"unix://{self.socket}"
            slot.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until every gateway answers and every worker has looked for work."""
        await until(self._gateways_answer, "every gateway answers")
        await until(self._workers_look, "every worker looks for work")

    async def redis_answers(self) -> bool:
        try:
            return bool(await self.client.ping())
        except (rx.RedisError, OSError):
            return False

    async def _gateways_answer(self) -> bool:
        async with httpx.AsyncClient(timeout=2) as http:  # seconds: asked again, if it is just starting
            try:
                return all([(await http.get(f"{url}/ok")).is_success for url in self.urls])
            except httpx.TransportError:
                return False

    async def _workers_look(self) -> bool:
        """Whether exactly our workers live, each with the child that it has now."""
        alive = [name.decode() for name in await self.client.zrange(KEYS.workers(), 0, -1)]
        records = [await self.client.hmget(KEYS.worker(name), "pid", "request") for name in alive]
        looking = sorted(int(pid) for pid, request in records if pid and request)
        return len(alive) == len(self.workers) and looking == sorted(worker.pid for worker in self.workers)

    async def stop(self) -> list[str]:
        """Stop it all, workers first and Redis last; returns who had to be killed."""
        stubborn = []
        for group in (self.workers, self.gateways, [self.redis]):
            stopped = await asyncio.gather(*(slot.stop(STOP_PATIENCE) for slot in group))
            stubborn += [slot.name for slot, ok in zip(group, stopped, strict=True) if not ok]
        await self.client.aclose()
        for proxy in self.proxies.values():
            await proxy.stop()
        return stubborn

    def leftovers(self) -> list[str]:
        """What is still there of a cell that was stopped: processes, however they were started, and sockets."""
        left = [f"process {p.pid}: {p.command}" for p in processes() if self._is_ours(p.pid)]
        for port in self.ports:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    left.append(f"port {port} still listens")
        return left

    def _is_ours(self, pid: int) -> bool:
        try:
            return f"{MARK}={self._mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, is another user's, or there is no /proc here
            return False

    def said(self, event: str) -> int:
        """How often the workers have logged an event."""
        count = 0
        for slot in self.workers:
            for line in slot.log.read_text(errors="replace").splitlines():
                if event in line and line.startswith("{"):
                    count += json.loads(line).get("event") == event
        return count

    def remove(self) -> None:
        shutil.rmtree(self.folder)


async def until(condition: Any, what: str, patience: float = START_PATIENCE) -> None:
    """Wait for an async condition. Raises TimeoutError that says what never came."""
    deadline = time.monotonic() + patience
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience:.0f} s: {what}")
        await asyncio.sleep(0.05)
