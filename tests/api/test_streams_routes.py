"""The routes that create a run and stream its events; and what a client that goes, or a gateway, leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore
from lineshaft_api import follow
from lineshaft_api.context import DRAINING
from tests.shared.until import until

from .gateway import Attempt, Gateway, events, frames, serving

BODY = {"assistant_id": "g"}


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)


def metadata(attempt: Attempt, count: int = 1) -> tuple[str, Any]:
    return "metadata", {"run_id": attempt.run, "attempt": count}


async def test_a_stream(gateway: Gateway) -> None:
    thread = await gateway.thread()
    streaming = await gateway.ask("POST", f"/threads/{thread}/runs/stream", json=BODY)
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 1}, {"n": 2})
    await attempt.finish(entries=["values", "d", '{"n":3}'])
    response, body = await streaming
    assert response.status == 200
    location = f"/threads/{thread}/runs/{attempt.run}"
    assert response.headers["Location"] == f"{location}/stream"
    assert response.headers["Content-Location"] == location
    assert body == (
        b'event: metadata\r\ndata: {"run_id":"%b","attempt":1}\r\n\r\n' % attempt.run.encode()
        + b"".join(b'event: values\r\ndata: {"n":%d}\r\n\r\n' % n for n in (1, 2, 3))
    )


async def test_events_come_one_by_one(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with gateway.http.post(f"/threads/{thread}/runs/stream", json=BODY) as response:
        attempt = await gateway.claim()
        assert b"metadata" in await response.content.readuntil(b"\r\n\r\n")
        for n in range(3):
            await attempt.emit("values", n)
            assert await response.content.readuntil(b"\r\n\r\n") == b"event: values\r\ndata: %d\r\n\r\n" % n
        await attempt.finish()
        assert await response.content.read() == b""


async def test_a_resumable_stream_has_rising_ids(gateway: Gateway) -> None:
    thread = await gateway.thread()
    streaming = await gateway.ask("POST", f"/threads/{thread}/runs/stream", json={**BODY, "stream_resumable": True})
    attempt = await gateway.claim()
    await attempt.emit("values", *range(12))
    await attempt.finish()
    ids = [ident for _, _, ident in frames((await streaming)[1])]
    assert None not in ids
    assert len(set(ids)) == 13 and ids == sorted(ids, key=str)


async def test_a_stream_on_a_thread_of_its_own(gateway: Gateway) -> None:
    await gateway.thread()
    streaming = await gateway.ask("POST", "/runs/stream", json=BODY)
    attempt = await gateway.claim()
    await attempt.finish()
    response, body = await streaming
    assert response.headers["Location"] == f"/runs/{attempt.run}/stream"
    assert response.headers["Content-Location"] == f"/runs/{attempt.run}"
    assert events(body) == [metadata(attempt)]


@pytest.mark.usefixtures("quick_heartbeat")
async def test_a_queued_run_beats_while_the_one_before_it_is_loud(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await gateway.create(thread)
    loud = await gateway.claim()
    async with gateway.http.post(f"/threads/{thread}/runs/stream", json=BODY) as response:
        beating = asyncio.create_task(response.content.readuntil(b"\r\n\r\n"))

        async def noise() -> bool:
            await loud.emit("values", 1)
            return beating.done()

        await until(noise, "a heartbeat")
        assert await beating == b": heartbeat\r\n\r\n"
        await loud.finish()
        quiet = await gateway.claim()
        await quiet.finish()
        assert events(await response.read()) == [metadata(quiet)]


async def test_a_run_that_never_starts_has_an_empty_stream(gateway: Gateway) -> None:
    thread = await gateway.thread()
    for action in ("interrupt", "rollback"):
        streaming = await gateway.ask("POST", f"/threads/{thread}/runs/stream", json=BODY)
        await gateway.watched(thread)
        (run,) = await gateway.json("GET", f"/threads/{thread}/runs?status=pending")
        await gateway.http.post(f"/threads/{thread}/runs/{run['run_id']}/cancel?action={action}")
        assert (await streaming)[1] == b""


async def test_a_failure_is_the_last_event(gateway: Gateway) -> None:
    thread = await gateway.thread()
    streaming = await gateway.ask("POST", f"/threads/{thread}/runs/stream", json=BODY)
    attempt = await gateway.claim()
    error = '{"error":"ValueError","message":"boom"}'
    await attempt.finish("error", entries=["error", "d", error], error=error, thread_status="error")
    response, body = await streaming
    assert response.status == 200
    assert events(body) == [metadata(attempt), ("error", {"error": "ValueError", "message": "boom"})]


@pytest.mark.usefixtures("quick_heartbeat")
async def test_a_deleted_thread_ends_its_streams(gateway: Gateway, client: Client) -> None:
    thread = await gateway.thread()
    streaming = await gateway.ask("POST", f"/threads/{thread}/runs/stream", json=BODY)
    waiting = await gateway.ask("POST", f"/threads/{thread}/runs/wait", json=BODY)
    await gateway.watched(thread, 2)
    await ThreadStore(client).delete(thread)
    gateway.desk.forget(thread)
    assert events((await streaming)[1]) == []
    response, body = await waiting
    assert response.status == 200
    assert b'{"__error__":{"error":"NotFound","message":"Thread with ID' in body


async def test_another_attempt_goes_on_in_the_same_stream(gateway: Gateway) -> None:
    thread = await gateway.thread()
    streaming = await gateway.ask("POST", f"/threads/{thread}/runs/stream", json=BODY)
    waiting = await gateway.ask("POST", f"/threads/{thread}/runs/wait", json=BODY)
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 1})
    await attempt.crash()
    again = await gateway.claim()
    assert again.run == attempt.run
    await again.finish()
    assert events((await streaming)[1]) == [metadata(attempt), ("values", {"n": 1}), metadata(attempt, 2)]
    await (await gateway.claim()).finish()
    await waiting


@pytest.mark.parametrize("kind", ["stream", "wait"])
@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("begun", [False, True])
async def test_a_client_that_goes_cancels_if_it_said_so(
    gateway: Gateway, kind: str, stateless: bool, begun: bool
) -> None:
    thread = await gateway.thread()
    path = f"/runs/{kind}" if stateless else f"/threads/{thread}/runs/{kind}"
    response = await gateway.http.post(path, json={**BODY, "on_disconnect": "cancel"})
    run = response.headers["Content-Location"].rpartition("/")[2]
    attempt = await gateway.claim() if begun else None
    response.close()

    async def cancelled() -> bool:
        return await gateway.desk.status(run) == "interrupted" or await gateway.desk.field(run, "cancel") == "interrupt"

    await until(cancelled, "the run is cancelled")
    if attempt:
        reason = await gateway.desk.field(run, "cancel_reason")
        assert reason == "client disconnected from the run stream (on_disconnect=cancel)"
        await attempt.finish("interrupted", handled="interrupt")


@pytest.mark.parametrize("kind", ["stream", "wait"])
async def test_a_client_that_goes_leaves_its_run_alone(gateway: Gateway, kind: str) -> None:
    thread = await gateway.thread()
    response = await gateway.http.post(f"/threads/{thread}/runs/{kind}", json=BODY)
    attempt = await gateway.claim()
    await gateway.watched(thread)
    response.close()
    await gateway.watched(thread, 0)
    assert await gateway.desk.field(attempt.run, "cancel") is None
    await attempt.finish()


async def test_a_gateway_that_stops_cuts_answers_off_and_cancels_nothing(gateway: Gateway) -> None:
    """No whole answer: its client asks again at the Location."""
    runs = []
    for kind, resumable in (("stream", True), ("stream", False), ("wait", False)):
        thread = await gateway.thread()
        body = {**BODY, "on_disconnect": "cancel", "stream_resumable": resumable}
        asking = await gateway.ask("POST", f"/threads/{thread}/runs/{kind}", json=body)
        attempt = await gateway.claim()
        await attempt.emit("values", {"n": 1})
        await gateway.watched(thread)
        runs.append((asking, attempt))
    await gateway.cut_off()
    for asking, attempt in runs:
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
            await asking
        assert await gateway.desk.field(attempt.run, "cancel") is None
        await attempt.finish()


async def test_a_gateway_that_stops_gives_what_cannot_be_resumed_a_moment_to_end(gateway: Gateway) -> None:
    runs = []
    for kind in ("stream", "wait"):
        thread = await gateway.thread()
        asking = await gateway.ask("POST", f"/threads/{thread}/runs/{kind}", json=BODY)
        runs.append((asking, await gateway.claim()))
        await gateway.watched(thread)
    stopping = asyncio.create_task(gateway.stop())
    await until(gateway.runner.app[DRAINING].is_set, "it stops")
    for _, attempt in runs:
        await attempt.emit("values", {"n": 1})
        await attempt.finish()
    await stopping
    (streaming, first), (waiting, _) = runs
    assert events((await streaming)[1]) == [metadata(first), ("values", {"n": 1})]
    assert (await waiting)[1] == b'{"n":1}'
