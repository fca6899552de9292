"""The routes of runs as records."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from lineshaft.assistants.queries import Queries
from lineshaft.config.settings import Settings
from lineshaft.errors import NotFound
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore

from .gateway import Gateway, serving


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def test_a_background_run(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with gateway.http.post(
        f"/threads/{thread}/runs", json={"assistant_id": "g"}, headers={"x-request-id": "me"}
    ) as response:
        assert response.status == 200
        run = await response.json()
        assert response.headers["Content-Location"] == f"/threads/{thread}/runs/{run['run_id']}"
    assert run["status"] == "pending"
    assert run["kwargs"]["config"]["configurable"]["langgraph_request_id"] == "me"
    path = f"/threads/{thread}/runs/{run['run_id']}"
    assert await gateway.json("GET", path) == run
    attempt = await gateway.claim()
    assert (await gateway.json("GET", path))["status"] == "running"
    await attempt.finish()
    assert (await gateway.json("GET", path))["status"] == "success"


async def test_a_background_run_on_a_thread_of_its_own(gateway: Gateway, client: Client) -> None:
    await gateway.thread()
    async with gateway.http.post("/runs", json={"assistant_id": "g"}) as response:
        run = await response.json()
        assert response.headers["Content-Location"] == f"/runs/{run['run_id']}"
    attempt = await gateway.claim()
    assert attempt.thread == run["thread_id"]
    await attempt.finish()
    assert not await ThreadStore(client).exists(run["thread_id"])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "assistant_id"),
        ({"assistant_id": "nope"}, 422, "Invalid assistant: 'nope'"),
        ({"assistant_id": str(uuid.uuid4())}, 404, "Thread or assistant not found."),
        ({"assistant_id": "g", "stream_mode": "tools"}, 422, "stream_mode"),
        ({"assistant_id": "g", "checkpoint_id": "x"}, 422, "must be a UUID"),
        ({"assistant_id": "g", "config": {"configurable": {"a": 1}}, "context": {"b": 1}}, 400, "context"),
    ],
)
async def test_what_is_refused(gateway: Gateway, body: dict[str, Any], status: int, said: str) -> None:
    thread = await gateway.thread()
    for path in (f"/threads/{thread}/runs", f"/threads/{thread}/runs/stream", f"/threads/{thread}/runs/wait"):
        assert said in (await gateway.json("POST", path, status, json=body))["detail"]
    assert await gateway.json("GET", f"/threads/{thread}/runs") == []


@pytest.mark.parametrize(
    "named",
    [
        lambda checkpoint: {"checkpoint_id": checkpoint},
        lambda checkpoint: {"checkpoint": {"checkpoint_id": checkpoint, "checkpoint_ns": ""}},
        lambda checkpoint: {"config": {"configurable": {"checkpoint_id": checkpoint}}},
    ],
)
async def test_a_run_from_a_checkpoint_that_is_not_there(gateway: Gateway, client: Client, named: Any) -> None:
    """It would silently start from an empty state."""
    thread, unknown, known = await gateway.thread(), str(uuid.uuid4()), str(uuid.uuid4())
    await client.script(
        "checkpoint_put", run_id="", token="", owner="", thread_id=thread, ns="", checkpoint_id=known,
        header=b"h", anatomy_text="\1\1", values=[],
    )  # fmt: skip
    for path in (f"/threads/{thread}/runs", f"/threads/{thread}/runs/stream", f"/threads/{thread}/runs/wait"):
        body = {"assistant_id": "g", **named(unknown)}
        detail = (await gateway.json("POST", path, 404, json=body))["detail"]
        assert detail == f"Thread {thread} has no checkpoint {unknown}"
    assert await gateway.json("GET", f"/threads/{thread}/runs") == []
    await gateway.json("POST", f"/threads/{thread}/runs", json={"assistant_id": "g", **named(known)})
    run = await gateway.json("POST", "/runs", json={"assistant_id": "g", **named(unknown)})  # there it means nothing
    gateway.desk.adopt(run["thread_id"])


async def test_a_busy_thread_rejects(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await gateway.create(thread)
    body = {"assistant_id": "g", "multitask_strategy": "reject"}
    assert "already running" in (await gateway.json("POST", f"/threads/{thread}/runs", 409, json=body))["detail"]


async def test_lists(gateway: Gateway) -> None:
    thread = await gateway.thread()
    path = f"/threads/{thread}/runs"
    runs = [await gateway.create(thread, metadata={"n": n}) for n in range(3)]
    await (await gateway.claim()).finish()
    assert [run["run_id"] for run in await gateway.json("GET", path)] == runs[::-1]
    page = await gateway.json("GET", path, params={"limit": 1, "offset": 1})
    assert [run["run_id"] for run in page] == [runs[1]]
    found = await gateway.json("GET", path, params=[("status", "success"), ("select", "run_id"), ("select", "status")])
    assert found == [{"run_id": runs[0], "status": "success"}]
    assert "unknown field 'nope' in select" in (await gateway.json("GET", f"{path}?select=nope", 422))["detail"]
    await gateway.json("GET", f"/threads/{uuid.uuid4()}/runs", 404)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_runs_that_are_not_there(gateway: Gateway, method: str) -> None:
    thread, other = await gateway.thread(), await gateway.thread()
    run = await gateway.create(thread)
    await gateway.json(method, f"/threads/{thread}/runs/{uuid.uuid4()}", 404)
    await gateway.json(method, f"/threads/{other}/runs/{run}", 404)
    await gateway.json(method, f"/threads/{thread}/runs/nope", 422)


async def test_cancel_a_pending_run(gateway: Gateway) -> None:
    thread = await gateway.thread()
    path = f"/threads/{thread}/runs/{await gateway.create(thread)}"
    async with gateway.http.post(f"{path}/cancel") as response:
        assert (response.status, await response.read()) == (202, b"")
    assert (await gateway.json("GET", path))["status"] == "interrupted"
    assert "No matching runs to cancel" in (await gateway.json("POST", f"{path}/cancel", 404))["detail"]
    path = f"/threads/{thread}/runs/{await gateway.create(thread)}"
    assert await gateway.json("POST", f"{path}/cancel?action=rollback&wait=1") == {}
    await gateway.json("GET", path, 404)
    assert (await gateway.json("GET", f"/threads/{thread}"))["status"] == "idle"


async def test_cancel_a_running_run(gateway: Gateway) -> None:
    thread = await gateway.thread()
    run = await gateway.create(thread)
    attempt = await gateway.claim()
    path = f"/threads/{thread}/runs/{run}"
    async with gateway.http.post(f"{path}/cancel?wait=0&action=anything") as response:
        assert response.status == 202
    assert (await gateway.json("GET", path))["status"] == "interrupted"
    assert await gateway.desk.field(run, "cancel") == "interrupt"
    reason = await gateway.desk.field(run, "cancel_reason")
    assert reason == "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel"
    await attempt.finish("interrupted", handled="interrupt")
    assert (await gateway.json("GET", path))["status"] == "interrupted"


async def test_cancel_and_wait_until_the_worker_has_stopped(gateway: Gateway) -> None:
    thread = await gateway.thread()
    run = await gateway.create(thread)
    attempt = await gateway.claim()
    path = f"/threads/{thread}/runs/{run}"
    cancelling = asyncio.create_task(gateway.http.post(f"{path}/cancel?wait=1&action=rollback"))
    await gateway.watched(thread)
    assert not cancelling.done()
    await attempt.finish("interrupted", handled="rollback")
    async with await cancelling as response:
        assert (response.status, await response.json()) == (200, {})
        assert response.headers["Location"] == f"{path}/join"
        assert response.headers["Content-Location"] == path
    await gateway.json("GET", path, 404)


async def test_delete_a_pending_run(gateway: Gateway) -> None:
    thread = await gateway.thread()
    path = f"/threads/{thread}/runs/{await gateway.create(thread)}"
    async with gateway.http.delete(path) as response:
        assert (response.status, await response.read()) == (204, b"")
    await gateway.json("DELETE", path, 404)


async def test_delete_a_running_run(gateway: Gateway) -> None:
    thread = await gateway.thread()
    run = await gateway.create(thread)
    attempt = await gateway.claim()
    deleting = asyncio.create_task(gateway.http.delete(f"/threads/{thread}/runs/{run}"))
    await gateway.watched(thread)
    assert await gateway.desk.field(run, "cancel") == "rollback"
    await attempt.finish("interrupted", handled="rollback")
    async with await deleting as response:
        assert response.status == 204
    assert await gateway.json("GET", f"/threads/{thread}/runs") == []


async def test_delete_a_run_that_is_being_cancelled(gateway: Gateway) -> None:
    thread = await gateway.thread()
    run = await gateway.create(thread)
    attempt = await gateway.claim()
    path = f"/threads/{thread}/runs/{run}"
    async with gateway.http.post(f"{path}/cancel"):
        pass
    deleting = asyncio.create_task(gateway.http.delete(path))
    await gateway.watched(thread)
    await attempt.finish("interrupted", handled="interrupt")
    async with await deleting as response:
        assert response.status == 204
    await gateway.json("GET", path, 404)


async def test_delete_a_finished_run_that_wrote_nothing(gateway: Gateway) -> None:
    thread = await gateway.thread()
    run = await gateway.create(thread)
    await (await gateway.claim()).finish()
    async with gateway.http.delete(f"/threads/{thread}/runs/{run}") as response:
        assert response.status == 204
    assert await gateway.json("GET", f"/threads/{thread}/runs") == []


async def test_delete_a_finished_run_that_wrote_checkpoints(gateway: Gateway, client: Client) -> None:
    """A worker takes the checkpoints back."""
    thread = await gateway.thread()
    run = await gateway.create(thread)
    await (await gateway.claim()).finish()
    await client.command("HSET", client.keys.run(run), "wrote", 1)
    blocking = client.blocking()
    worker = Queries(client, blocking)
    for outcome, status in ((NotFound("no such thread"), 404), (Raw(b"null"), 204)):
        deleting = asyncio.create_task(gateway.http.delete(f"/threads/{thread}/runs/{run}"))
        query = await worker.take("w")
        assert query is not None
        assert (query.kind, query.graph_id, query.args) == ("delete_run", "g", {"run_id": run})
        await worker.answer(query, outcome)
        async with await deleting as response:
            assert response.status == status
    await blocking.aclose()


async def test_while_redis_takes_nothing_new_the_answer_is_503(gateway: Gateway, client: Client) -> None:
    thread = await gateway.thread()
    client.patience = 0
    await client.redis.config_set("maxmemory", 1)
    try:
        async with gateway.http.post(f"/threads/{thread}/runs", json={"assistant_id": "g"}) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "2"
            assert (await response.json())["detail"].startswith("Redis is full: ")
    finally:
        await client.redis.config_set("maxmemory", 0)


async def test_the_assistant_may_be_named_by_its_id(gateway: Gateway) -> None:
    thread = await gateway.thread()
    run = await gateway.create(thread, assistant_id=system_assistant("g"))
    assert (await gateway.json("GET", f"/threads/{thread}/runs/{run}"))["assistant_id"] == system_assistant("g")
