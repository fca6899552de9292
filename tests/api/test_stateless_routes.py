"""Runs without a thread of the client's: batches, and what is read by a run's id alone."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from langgraph_sdk import get_client

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client

from .gateway import Gateway, events, frames, serving

BODY = {"assistant_id": "g"}


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def test_a_batch(gateway: Gateway) -> None:
    await gateway.thread()
    runs = await gateway.json("POST", "/runs/batch", json=[BODY, {**BODY, "metadata": {"k": 1}}])
    assert [run["status"] for run in runs] == ["pending", "pending"]
    assert runs[1]["metadata"]["k"] == 1
    attempts = [await gateway.claim() for _ in runs]
    assert {(a.run, a.thread) for a in attempts} == {(run["run_id"], run["thread_id"]) for run in runs}
    for attempt in attempts:
        await attempt.finish()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ([], 422, "Request body: a batch has one run at least"),
        ({**BODY}, 422, "Request body: Expected `array`, got `object`"),
        ([BODY, {}], 422, "Request body: Object missing required field `assistant_id` - at `$[1]`"),
        ([BODY] * 101, 413, "Request body: 101 runs in a batch (limit: 100); send several batches"),
    ],
)
async def test_a_batch_that_is_refused(gateway: Gateway, body: object, status: int, detail: str) -> None:
    assert await gateway.json("POST", "/runs/batch", status, json=body) == {"detail": detail}


async def test_the_locations_of_a_stateless_stream_lead_somewhere(gateway: Gateway) -> None:
    await gateway.thread()
    streaming = await gateway.ask("POST", "/runs/stream", json={**BODY, "stream_resumable": True})
    attempt = await gateway.claim()
    await attempt.finish(entries=["values", "d", '{"n":1}'])
    response, body = await streaming
    async with gateway.http.get(response.headers["Location"], headers={"Last-Event-ID": "0"}) as again:
        assert await again.read() == body
        assert again.headers["Content-Location"] == f"/threads/{attempt.thread}/runs/{attempt.run}"
    run = await gateway.json("GET", response.headers["Content-Location"])
    assert (run["run_id"], run["thread_id"], run["status"]) == (attempt.run, attempt.thread, "success")
    assert await gateway.json("GET", f"/runs/{attempt.run}/join") == {"n": 1}


async def test_the_official_client_resumes_a_stateless_stream(gateway: Gateway) -> None:
    """At `/runs/{run_id}/stream`, where the reference has nothing."""
    await gateway.thread()
    sdk = get_client(url=f"http://127.0.0.1:{gateway.runner.addresses[0][1]}", api_key=None)
    stream = sdk.runs.stream(None, "g", stream_resumable=True)
    first = asyncio.ensure_future(anext(stream))
    attempt = await gateway.claim()
    seen = [(await first).event]
    for connection in gateway.runner.server.connections:  # type: ignore[union-attr]  # the gateway serves
        connection.transport.abort()  # type: ignore[union-attr]  # and the client is connected
    await gateway.watched(attempt.thread, 0)
    await attempt.emit("values", 1)
    await attempt.finish()
    seen += [part.event async for part in stream]
    assert seen == ["metadata", "values"]
    await sdk.aclose()


@pytest.mark.parametrize("kind", ["", "/join", "/stream"])
async def test_an_unknown_run(gateway: Gateway, kind: str) -> None:
    run = uuid.uuid4()
    assert await gateway.json("GET", f"/runs/{run}{kind}", 404) == {"detail": f"Run with ID {run} not found"}
    assert await gateway.json("GET", f"/runs/x{kind}", 422) == {"detail": "Invalid run ID: must be a UUID"}


@pytest.mark.parametrize("path", ["/runs/batch", "/runs/wait", "/runs/cancel", "/internal/runs/cancel"])
async def test_a_name_beside_an_id_is_not_taken_for_one(gateway: Gateway, path: str) -> None:
    async with gateway.http.get(path) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/assistants/search"),
        ("GET", "/threads/search"),
        ("GET", "/threads/01a20056-5bd2-76fa-8e52-c19bdc138892/runs/crons"),
        ("GET", "/runs/crons/search"),
    ],
)
async def test_elsewhere_it_is_as_on_the_official_server(gateway: Gateway, method: str, path: str) -> None:
    assert "must be a UUID" in (await gateway.json(method, path, 422))["detail"]


async def test_a_joined_stream_says_where_it_is(gateway: Gateway) -> None:
    await gateway.thread()
    run = (await gateway.json("POST", "/runs", json=BODY))["run_id"]
    joining = await gateway.ask("GET", f"/runs/{run}/stream")
    attempt = await gateway.claim()
    await attempt.emit("values", 1)
    await attempt.finish()
    response, body = await joining
    assert events(body) == [("metadata", {"run_id": run, "attempt": 1}), ("values", 1)]
    assert all(ident is None for _, _, ident in frames(body))
    assert response.headers["Location"] == f"/threads/{attempt.thread}/runs/{run}/stream"
