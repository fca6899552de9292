"""PATCH, PUT and DELETE of assistants, and their versions."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client

from .gateway import Gateway, publish, serving


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    for graph_id in ("chat", "digest"):
        await publish(client, graph_id)
    async with serving(client, settings) as started:
        yield started
    await client.redis.flushall()


async def create(gateway: Gateway, **fields: Any) -> str:
    body = await gateway.json("POST", "/assistants", json={"graph_id": "chat", **fields})
    return f"/assistants/{body['assistant_id']}"


async def test_patch_and_put(gateway: Gateway) -> None:
    path = await create(gateway, name="one", description="d", metadata={"a": 1})
    patched = await gateway.json("PATCH", path, json={"name": "two", "metadata": {"b": 2}, "surprise": 1})
    assert (patched["version"], patched["name"], patched["metadata"]) == (2, "two", {"a": 1, "b": 2})
    put = await gateway.json("PUT", path, json={"graph_id": "digest", "context": {"tone": "warm"}})
    assert (put["version"], put["graph_id"], put["name"], put["description"]) == (3, "digest", "Untitled", None)
    assert put["config"] == {"configurable": put["context"]} == {"configurable": {"tone": "warm"}}
    assert await gateway.json("GET", path) == put
    again = await gateway.json("PUT", path, json=put)
    assert again == {**put, "version": 4, "updated_at": again["updated_at"]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"metadata": None}, 422),
        ({"name": None}, 422),
        ({"graph_id": 7}, 422),
        ({"graph_id": "nowhere"}, 404),
        ({"graph_id": "nowhere", "config": {"tags": "t"}}, 422),
        ({"graph_id": "nowhere", "config": {"configurable": {"a": 1}}, "context": {"a": 2}}, 404),
        ({"config": {"recursion_limit": 1.5}}, 422),
        ({"config": {"configurable": []}}, 422),
        ({"config": {"configurable": {"a": 1}}, "context": {"a": 2}}, 400),
        ({"metadata": {"a": "x" * 170_000}}, 413),
        ([], 422),
    ],
)
async def test_changes_that_are_refused(gateway: Gateway, body: Any, status: int) -> None:
    path = await create(gateway)
    await gateway.json("PATCH", path, status, json=body)
    if isinstance(body, dict):
        await gateway.json("PUT", path, status, json={"graph_id": "chat", **body})
    assert (await gateway.json("GET", path))["version"] == 1


async def test_unknown_assistants(gateway: Gateway) -> None:
    for path, status in ((f"/assistants/{uuid.uuid4()}", 404), ("/assistants/chat", 422)):
        await gateway.json("PATCH", path, status, json={})
        await gateway.json("PUT", path, status, json={"graph_id": "chat"})
        await gateway.json("DELETE", path, status)
        await gateway.json("POST", f"{path}/versions", status, json={})
        await gateway.json("POST", f"{path}/latest", status, json={"version": 1})


async def test_versions(gateway: Gateway) -> None:
    path = await create(gateway, name="one")
    await gateway.json("PATCH", path, json={"name": "two"})
    versions = await gateway.json("POST", f"{path}/versions", json={})
    assert [(row["version"], row["name"]) for row in versions] == [(2, "two"), (1, "one")]
    assert "updated_at" not in versions[0]
    latest = await gateway.json("POST", f"{path}/latest", json={"version": 1.0})
    assert (latest["version"], latest["name"]) == (1, "one")
    for version, status in ((3, 404), (0, 404), (-1, 404), ("1", 422), (None, 422), (10**30, 422)):
        await gateway.json("POST", f"{path}/latest", status, json={"version": version})
    await gateway.json("POST", f"{path}/latest", 404, json={})
    for page in ({"limit": 0}, {"limit": 1001}, {"offset": -1}, {"offset": 10**30}, {"metadata": None}):
        await gateway.json("POST", f"{path}/versions", 422, json=page)


async def test_deleting_an_assistant_cancels_its_runs_and_leaves_its_threads(gateway: Gateway) -> None:
    assistant_id = (await create(gateway)).rpartition("/")[2]
    thread, other = await gateway.thread(), await gateway.thread()
    waiting = [await gateway.create(thread, assistant_id=assistant_id) for _ in range(2)]
    foreign = await gateway.create(other)
    await gateway.claim()
    async with gateway.http.delete(f"/assistants/{assistant_id}") as response:
        assert (response.status, await response.read()) == (204, b"")
    for run in waiting:
        assert (await gateway.json("GET", f"/threads/{thread}/runs/{run}"))["status"] == "interrupted"
    assert (await gateway.json("GET", f"/threads/{other}/runs/{foreign}"))["status"] == "pending"
    await gateway.json("POST", f"/threads/{thread}/runs", 404, json={"assistant_id": assistant_id})


async def test_deleting_an_assistant_can_take_its_threads_along(gateway: Gateway) -> None:
    assistant_id = (await create(gateway)).rpartition("/")[2]
    threads = [(await gateway.json("POST", "/threads", json={}))["thread_id"] for _ in range(3)]
    for thread in threads[:2]:
        await gateway.create(thread, assistant_id=assistant_id)
    async with gateway.http.delete(f"/assistants/{assistant_id}", params={"delete_threads": "TRUE"}) as response:
        assert response.status == 204
    found = await gateway.json("POST", "/threads/search", json={})
    assert [row["thread_id"] for row in found] == threads[2:]
