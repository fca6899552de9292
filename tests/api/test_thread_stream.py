"""One stream of all that happens on a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from langgraph_sdk import get_client

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.threads.thread import ThreadStore
from lineshaft_api import follow
from tests.shared.until import until

from .gateway import Attempt, Gateway, frames, serving

Seen = list[tuple[str, Any, str | None]]
Watch = Callable[..., Awaitable["Reader"]]


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def run(gateway: Gateway, thread: str, *values: Any, **fields: Any) -> Attempt:
    """A run from its creation to its end."""
    await gateway.create(thread, **fields)
    attempt = await gateway.claim()
    for value in values:
        await attempt.emit("values", value)
    await attempt.finish()
    return attempt


async def change_state(gateway: Gateway, thread: str, event: str) -> None:
    """What a worker does for POST /threads/{id}/state."""
    client = gateway.client
    await client.command("SET", client.keys.query("q"), "?", "EX", 10)
    lock = {"lock_id": "q", "thread_id": thread, "worker": gateway.desk.worker, "query_id": "q"}
    token = await client.script("state_lock", **lock)
    await client.script(
        "state_unlock", lock_id="q", token=token, rev=1, thread_status="idle", state=b"{}", interrupts=b"{}", forget="",
        events_ttl=60_000, event=["state_update", "d", event],
    )  # fmt: skip


class Reader:
    """An open thread stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.text = b""

    async def read(self, count: int) -> Seen:
        """The first `count` events, once they are there."""
        async with asyncio.timeout(10):
            while len(found := frames(self.text.rpartition(b"\r\n\r\n")[0])) < count:
                chunk = await self.response.content.readany()
                assert chunk, found
                self.text += chunk
        assert len(found) == count, found
        return found


@pytest.fixture
async def watch(gateway: Gateway) -> AsyncIterator[Watch]:
    """Opens streams, which are closed with the test."""
    readers: list[Reader] = []

    async def open_stream(thread: str, query: str = "", last_id: str | None = None) -> Reader:
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        response = await gateway.http.get(f"/threads/{thread}/stream{query}", headers=headers)
        readers.append(Reader(response))
        assert response.status == 200, await response.text()
        return readers[-1]

    yield open_stream
    for reader in readers:
        reader.response.close()


def names(seen: Seen) -> list[str]:
    return [event for event, _, _ in seen]


def done(attempt: Attempt) -> tuple[str, Any]:
    return "metadata", {"status": "run_done", "run_id": attempt.run}


async def test_all_runs_on_one_connection(gateway: Gateway, watch: Watch) -> None:
    thread = await gateway.thread()
    await run(gateway, thread, "before")
    reader = await watch(thread)
    assert "Location" not in reader.response.headers
    await gateway.watched(thread)
    first = await run(gateway, thread, 1, 2)
    second = await run(gateway, thread, 3, stream_resumable=True)
    await change_state(gateway, thread, "{}")  # not asked for
    seen = await reader.read(7)
    assert [pair[:2] for pair in seen] == [
        ("metadata", {"run_id": first.run, "attempt": 1}), ("values", 1), ("values", 2), done(first),
        ("metadata", {"run_id": second.run, "attempt": 1}), ("values", 3), done(second),
    ]  # fmt: skip
    ids = [ident or "" for _, _, ident in seen]
    assert all(ids) and ids == sorted(set(ids))


async def test_a_failure_and_a_cancel_are_followed_by_the_end(gateway: Gateway, watch: Watch) -> None:
    thread = await gateway.thread()
    reader = await watch(thread)
    await gateway.create(thread)
    failing = await gateway.claim()
    await failing.finish("error", entries=["error", "d", '{"error":"E","message":"m"}'], error=b"{}")
    waiting = await gateway.create(thread, after_seconds=60)
    await cancel(gateway.client, thread, waiting, "rollback", "test")
    seen = await reader.read(4)
    assert names(seen) == ["metadata", "error", "metadata", "metadata"]
    assert seen[2][:2] == done(failing)
    assert seen[3][1] == {"status": "run_done", "run_id": waiting}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["metadata", "values", "metadata"]),
        ("?stream_modes=", ["metadata", "values", "metadata"]),
        ("?stream_mode=run_modes", ["metadata", "values", "metadata"]),
        ("?stream_modes=lifecycle", ["metadata", "metadata"]),
        ("?stream_modes=state_update", ["state_update"]),
        ("?stream_modes=lifecycle,state_update", ["metadata", "metadata", "state_update"]),
        ("?stream_modes=lifecycle&stream_modes=state_update", ["metadata", "metadata", "state_update"]),
        ("?stream_mode=lifecycle&stream_mode=state_update", ["metadata", "metadata", "state_update"]),
        ("?stream_modes=run_modes,lifecycle,state_update", ["metadata", "values", "metadata", "state_update"]),
    ],
)
async def test_modes(gateway: Gateway, watch: Watch, query: str, expected: list[str]) -> None:
    thread = await gateway.thread()
    reader = await watch(thread, query)
    await run(gateway, thread, 1)
    await change_state(gateway, thread, '{"state":{},"thread_id":"t"}')
    seen = await reader.read(len(expected))
    assert names(seen) == expected
    if "state_update" in expected:
        assert seen[-1][1] == {"state": {}, "thread_id": "t"}


@pytest.mark.parametrize("start", ["-", "0-0", "0", ""])
async def test_a_replay_from_the_beginning_has_resumable_runs_only(gateway: Gateway, watch: Watch, start: str) -> None:
    thread = await gateway.thread()
    kept = await run(gateway, thread, 1, stream_resumable=True)
    await run(gateway, thread, 2)
    reader = await watch(thread, last_id=start)
    await gateway.watched(thread)
    live = await run(gateway, thread, 3)
    seen = await reader.read(6)
    assert [pair[:2] for pair in seen] == [
        ("metadata", {"run_id": kept.run, "attempt": 1}), ("values", 1), done(kept),
        ("metadata", {"run_id": live.run, "attempt": 1}), ("values", 3), done(live),
    ]  # fmt: skip


async def test_who_comes_back_is_told_what_is_not_replayed(gateway: Gateway, watch: Watch) -> None:
    thread = await gateway.thread()
    reader = await watch(thread)
    await gateway.create(thread)
    loud = await gateway.claim()
    (start,) = await reader.read(1)
    reader.response.close()
    await loud.emit("values", 1, 2)
    await loud.finish()
    kept = await run(gateway, thread, 3, stream_resumable=True)
    await change_state(gateway, thread, "4")
    again = await watch(thread, "?stream_modes=run_modes,state_update", last_id=start[2])
    seen = await again.read(6)
    assert [pair[:2] for pair in seen] == [
        ("gap", {"reason": "the run is not resumable", "run_id": loud.run}), done(loud),
        ("metadata", {"run_id": kept.run, "attempt": 1}), ("values", 3), done(kept), ("state_update", 4),
    ]  # fmt: skip
    # What it has seen it need not see again.
    rest = await watch(thread, "?stream_modes=run_modes,state_update", last_id=seen[3][2])
    assert await rest.read(2) == seen[4:]


async def test_a_log_that_has_expired_is_a_gap(gateway: Gateway, watch: Watch, client: Client) -> None:
    thread = await gateway.thread()
    await run(gateway, thread, 1, stream_resumable=True)
    whole = await (await watch(thread, last_id="-")).read(3)
    await client.command("DEL", client.keys.thread_events(thread))
    reader = await watch(thread, last_id=whole[1][2])
    ((event, data, ident),) = await reader.read(1)
    assert (event, data["reason"], ident) == ("gap", "older events have been dropped", whole[-1][2])


async def test_an_id_from_the_future_is_now(gateway: Gateway, watch: Watch) -> None:
    """Its reader would have waited for centuries."""
    thread = await gateway.thread()
    await run(gateway, thread, 1, stream_resumable=True)
    reader = await watch(thread, last_id="999999999999999-0001")
    await gateway.watched(thread)
    await run(gateway, thread, 2)
    assert [data for event, data, _ in await reader.read(3) if event == "values"] == [2]


@pytest.mark.parametrize("last_id", ["x", "1-2-3", "-1", "1795292900382-", "1" * 30, "1-" + "1" * 30])
async def test_a_malformed_id(gateway: Gateway, last_id: str) -> None:
    thread = await gateway.thread()
    headers = {"Last-Event-ID": last_id}
    detail = (await gateway.json("GET", f"/threads/{thread}/stream", 422, headers=headers))["detail"]
    assert detail.startswith(f"Last-Event-ID {last_id!r} is not an event's id")


async def test_requests_that_are_refused(gateway: Gateway) -> None:
    thread = await gateway.thread()
    detail = (await gateway.json("GET", f"/threads/{thread}/stream?stream_modes=lifecycle,all", 422))["detail"]
    assert detail == "Query: unknown mode 'all' in stream_modes; there are run_modes, lifecycle, state_update"
    await gateway.json("GET", "/threads/x/stream", 422)
    unknown = "5b358878-22d0-4c2e-b674-68e7849dfc89"
    assert "not found" in (await gateway.json("GET", f"/threads/{unknown}/stream", 404))["detail"]


async def test_a_quiet_stream_beats_and_ends_with_its_thread(
    gateway: Gateway, watch: Watch, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    thread = await gateway.thread()
    reader = await watch(thread)
    assert await reader.response.content.readuntil(b"\r\n\r\n") == b": heartbeat\r\n\r\n"
    await ThreadStore(client).delete(thread)
    gateway.desk.forget(thread)
    async with asyncio.timeout(10):
        assert frames(await reader.response.read()) == []


async def test_a_temporary_thread_is_streamed_to_the_end(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    await gateway.thread()
    thread = (await gateway.json("POST", "/runs", json={"assistant_id": "g"}))["thread_id"]
    reading = await gateway.ask("GET", f"/threads/{thread}/stream")
    attempt = await gateway.claim()
    await attempt.finish()
    seen = frames((await reading)[1])
    assert [pair[:2] for pair in seen] == [("metadata", {"run_id": attempt.run, "attempt": 1}), done(attempt)]


async def test_the_official_client(gateway: Gateway) -> None:
    thread = await gateway.thread()
    sdk = get_client(url=f"http://127.0.0.1:{gateway.runner.addresses[0][1]}", api_key=None)
    stream = await sdk.threads.join_stream(thread, stream_mode=["lifecycle", "state_update"])
    first = asyncio.ensure_future(anext(stream))
    await gateway.watched(thread)
    attempt = await run(gateway, thread, 1)
    await change_state(gateway, thread, "2")
    parts = [await first, await anext(stream), await anext(stream)]
    assert [(part.event, part.data) for part in parts] == [
        ("metadata", {"run_id": attempt.run, "attempt": 1}), done(attempt), ("state_update", 2),
    ]  # fmt: skip
    await sdk.aclose()


async def test_a_gateway_that_stops_breaks_the_stream_off(gateway: Gateway, watch: Watch) -> None:
    """It can be resumed elsewhere, and must not look as if it had ended."""
    thread = await gateway.thread()
    reader = await watch(thread)
    await gateway.watched(thread)
    await gateway.stop()
    with pytest.raises(aiohttp.ClientPayloadError):
        await reader.response.read()
    await until(lambda: not gateway.hub._watchers, "nobody watches")
