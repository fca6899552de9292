"""A gateway on a port of its own, whose worker is played by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.context import DRAINING, HUB, LEAVING
from lineshaft_api.hub import Hub
from tests.shared.runs import Desk
from tests.shared.until import until

# How the schema of a graph's input describes a list of messages.
MESSAGES = {"type": "array", "items": {"oneOf": [{"$ref": f"#/$defs/{name}Message"} for name in ("AI", "Human")]}}


async def publish(client: Client, graph_id: str, **schema: Any) -> None:
    """What a worker says of a graph: the JSON schema of its input."""
    raw = msgspec.Raw(msgspec.json.encode(schema))
    descriptor = GraphDescriptor(graph_id=graph_id, revision="1", name=graph_id, input_schema=raw)
    await GraphRegistry(client).publish(descriptor, "w")


class Attempt:
    """A claimed run and its worker's part: events, then an end."""

    def __init__(self, desk: Desk, run: str, token: str, thread: str) -> None:
        self.desk, self.run, self.token, self.thread = desk, run, token, thread
        self._batch = 0

    async def emit(self, event: str, *data: Any) -> None:
        """Events of one name, appended at once."""
        self._batch += 1
        entries = [part for one in data for part in (event, "d", msgspec.json.encode(one))]
        await self.desk.client.script(
            "run_append", run_id=self.run, token=self.token, batch=self._batch, entries=entries
        )

    async def finish(self, status: str = "success", **changes: Any) -> None:
        """The end; `changes` are arguments of the script."""
        assert await self.desk.finish(self.run, self.token, status, **changes) == "ok"

    async def crash(self) -> None:
        """The worker gives the run back, for another attempt."""
        await self.desk.client.script("run_hand_back", run_id=self.run, token=self.token)
        # What a crash counts and a hand-back does not.
        await self.desk.client.command("HINCRBY", self.desk.client.keys.run(self.run), "attempt", 1)


class Gateway:
    """What a test talks to."""

    def __init__(self, runner: web.AppRunner, http: aiohttp.ClientSession, desk: Desk) -> None:
        self.runner, self.http, self.desk = runner, http, desk
        self.client = desk.client

    @property
    def hub(self) -> Hub:
        return self.runner.app[HUB]

    async def thread(self) -> str:
        return await self.desk.open()

    async def claim(self) -> Attempt:
        """The next run that is due."""
        claimed: list[tuple[str, str]] = []

        async def one() -> bool:
            claimed.extend(await self.desk.claim(room=1))
            return bool(claimed)

        await until(one, "a run is due")
        ((run, token),) = claimed
        return Attempt(self.desk, run, token, str(await self.desk.field(run, "thread")))

    async def json(self, method: str, path: str, status: int = 200, **request: Any) -> Any:
        """The body of an answer that must have this status."""
        async with self.http.request(method, path, **request) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def create(self, thread: str, **fields: Any) -> str:
        """A background run; its id."""
        run: str = (await self.json("POST", f"/threads/{thread}/runs", json={"assistant_id": "g", **fields}))["run_id"]
        return run

    async def ask(self, method: str, path: str, **request: Any) -> "asyncio.Task[tuple[aiohttp.ClientResponse, bytes]]":
        """A request whose headers have arrived, and whose whole body comes with the task."""
        response = await self.http.request(method, path, **request)

        async def whole() -> tuple[aiohttp.ClientResponse, bytes]:
            async with response:
                return response, await response.read()

        return asyncio.create_task(whole())

    async def watched(self, thread: str, count: int = 1) -> None:
        """Wait until so many streams watch the thread."""
        await until(lambda: len(self.hub._watchers.get(thread, ())) == count, f"{count} watch the thread")

    async def stop(self) -> None:
        """SIGTERM."""
        await self.runner.cleanup()

    async def cut_off(self) -> None:
        """SIGTERM, with no grace for what goes on."""
        self.runner.app[DRAINING].set()
        self.runner.app[LEAVING].set()
        await self.stop()


@contextlib.asynccontextmanager
async def serving(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    """As `python -m lineshaft_api` serves: a handler hears at once that its client has gone."""
    runner = web.AppRunner(build(client, settings), access_log=None, shutdown_timeout=3, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    desk = Desk(client)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Gateway(runner, http, desk)
    finally:
        await runner.cleanup()
        await desk.leave()


def events(body: bytes) -> list[tuple[str, Any]]:
    """Pairs of event and data."""
    return [(event, data) for event, data, _ in frames(body)]


def frames(body: bytes) -> list[tuple[str, Any, str | None]]:
    """Event, data and id of each frame; heartbeats left out."""
    found = []
    for block in body.decode().split("\r\n\r\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\r\n") if line and not line.startswith(":"))
        if fields:
            found.append((fields["event"], msgspec.json.decode(fields["data"]), fields.get("id")))
    return found


async def running(gateway: Gateway, **fields: Any) -> tuple[Attempt, str]:
    """A run that has shown `{"n": 0}`, and its path."""
    thread = await gateway.thread()
    await gateway.create(thread, **fields)
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 0})
    return attempt, f"/threads/{thread}/runs/{attempt.run}"


async def replayed(gateway: Gateway, path: str, last_id: str | None = None) -> list[tuple[str, Any, str | None]]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with gateway.http.get(f"{path}/stream", headers=headers) as response:
        assert response.status == 200
        return frames(await response.read())
