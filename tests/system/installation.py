"""A gateway and workers as processes of their own, on a Redis with which a test does what it likes."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import redis
import redis.exceptions as rx

from lineshaft.redis.keys import Keys
from tests.conftest import server_binary
from tests.system.journal import CONFIG, PATIENCE, Journal, until
from tests.system.server import START_PATIENCE, Program, free_port, wait_until

# Seconds: short enough to wait for, and longer than a busy machine keeps a worker from renewing its own.
LEASE = 2


class RedisServer(Program):
    """A Redis on a port of its own, with its data in a folder of its own; ready when the `with` block begins."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.data = folder / f"redis-{self.port}"
        self.data.mkdir()
        self.options = [
            "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.data), "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction",
            "--loglevel", "warning",
        ]  # fmt: skip
        super().__init__([server_binary(), *self.options, *options], folder)
        self.uri = f"redis://127.0.0.1:{self.port}"
        # Its own look at things; what breaks a connection breaks this one too, which is then made again.
        self.client: Any = redis.Redis(port=self.port, retry_on_error=[rx.ConnectionError], socket_timeout=PATIENCE)

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except rx.ConnectionError:  # not yet, or it is loading
            return False

    def __enter__(self) -> Self:
        self.start()
        wait_until(self.answers, "Redis answers", START_PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self.running:
            self.kill()  # its data are of no use any more


class Installation:
    """One gateway and some workers; they listen, and look for work, when the `with` block begins.

    `redis` is where the test looks into their Redis; they themselves use `uri`.
    """

    def __init__(
        self,
        folder: Path,
        redis: RedisServer,
        *,
        uri: str = "",
        workers: int = 1,
        prefix: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.redis = redis
        self.keys = Keys(prefix)
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        environment = {
            "REDIS_URI": uri or redis.uri,
            "REDIS_KEY_PREFIX": prefix,
            "LINESHAFT_LEASE_SECONDS": str(LEASE),
            "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "1",  # what a test leaves running need not end
            **(env or {}),
        }
        python = [sys.executable, "-P", "-m"]
        gateway = Program([*python, "lineshaft_api", "--port", str(port)], folder, environment)
        worker = [*python, "lineshaft_worker", "--config", str(CONFIG)]
        self.programs = [gateway, *(Program(worker, folder, environment) for _ in range(workers))]

    def __enter__(self) -> Self:
        try:
            for program in self.programs:
                program.start()
            self.programs[0].wait_for_output("listening", START_PATIENCE)
            wait_until(self._all_have_looked, "all workers are ready", START_PATIENCE)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for program in self.programs:
            if program.running:
                program.kill()  # children go with their parents

    def _all_have_looked(self) -> bool:
        client, keys = self.redis.client, self.keys
        assert all(program.running for program in self.programs), self.output
        workers = client.zrange(keys.workers(), 0, -1)
        looked = [client.hexists(keys.worker(worker.decode()), "request") for worker in workers]
        return looked == [True] * (len(self.programs) - 1)

    @property
    def output(self) -> str:
        return "\n".join(program.output for program in self.programs)

    def pids(self) -> list[int]:
        """All processes: whoever died and was replaced has another."""
        return sorted(pid for program in self.programs for pid in program.pids())

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE)


async def thread(http: httpx.AsyncClient) -> str:
    answer = await http.post("/threads", json={})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["thread_id"])


async def enqueue(http: httpx.AsyncClient, thread_id: str, graph: str, **body: Any) -> str:
    """Create a run and return its id; tried again as the server asks for, which must be by a 503 with Retry-After."""
    answers: list[httpx.Response] = []

    async def accepted() -> bool:
        answer = await http.post(f"/threads/{thread_id}/runs", json={"assistant_id": graph, **body})
        answers.append(answer)
        assert answer.status_code == 200 or (answer.status_code == 503 and int(answer.headers["retry-after"]) > 0)
        return answer.status_code == 200

    await until(accepted, "a run is accepted")
    return str(answers[-1].json()["run_id"])


async def status(http: httpx.AsyncClient, thread_id: str, run_id: str) -> str:
    """What the API says of a run, "away" while it cannot tell."""
    answer = await http.get(f"/threads/{thread_id}/runs/{run_id}")
    assert answer.status_code in (200, 503), answer.text
    return str(answer.json()["status"]) if answer.status_code == 200 else "away"


async def ends(http: httpx.AsyncClient, thread_id: str, run_id: str) -> str:
    """Wait for a run's end; returns its status."""
    seen: list[str] = []

    async def ended() -> bool:
        seen.append(await status(http, thread_id, run_id))
        return seen[-1] not in ("pending", "running", "away")

    await until(ended, "the run ends")
    return seen[-1]


class HeldRun:
    """A run that waits in the midst of its ten steps while something happens to Redis.

    async with HeldRun(installation, journal) as held:
        ...what happens...
        await held.goes_on()  # and must have run once, ended once, in one process
    """

    def __init__(self, installation: Installation, journal: Journal) -> None:
        self._installation = installation
        self._journal = journal

    async def __aenter__(self) -> Self:
        self._pids = self._installation.pids()
        self.http = self._installation.http()
        self.thread_id = await thread(self.http)
        self.run_id = await enqueue(self.http, self.thread_id, "steps", input=self._journal.input(hold=5))
        await self._journal.wait_for("began", 5)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._journal.open_gate()
        await self.http.aclose()

    async def another(self, **body: Any) -> tuple[str, str]:
        """Create a thread and a run of one step on it, trying until it is accepted; returns their ids."""
        answers: list[httpx.Response] = []

        async def accepted() -> bool:
            answers.append(await self.http.post("/threads", json={}))
            assert answers[-1].status_code in (200, 503)
            return answers[-1].status_code == 200

        await until(accepted, "a thread is accepted")
        thread_id = answers[-1].json()["thread_id"]
        return thread_id, await enqueue(self.http, thread_id, "mark", input=self._journal.input(name="mark"), **body)

    async def goes_on(self, redis: RedisServer | None = None) -> None:
        """Let it go on, and wait for its end. `redis` is where it ends, if not where it began."""
        self._journal.open_gate()
        assert await ends(self.http, self.thread_id, self.run_id) == "success"
        assert self._installation.pids() == self._pids, self._installation.output
        begun = [line for line in self._journal.lines("began") if not line.name]
        assert [line.step for line in begun] == list(range(10))
        client, keys = (redis or self._installation.redis).client, self._installation.keys
        # One attempt, and no strike for a worker that was taken for dead.
        assert client.hmget(keys.run(self.run_id), "attempt", "crashes") == [b"1", None]
        entries = [fields for _, fields in client.xrange(keys.thread_events(self.thread_id))]
        own = [fields[b"e"] for fields in entries if fields[b"r"] == self.run_id.encode()]
        assert own.count(b"end") == 1 and own[-1] == b"end"
