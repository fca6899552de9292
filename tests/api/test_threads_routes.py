"""The routes of threads: bodies, statuses, headers."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.routes import threads

from .thread_requests import Api, create, refused


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings, threads.OPERATIONS))) as started:
        yield started


async def test_a_new_thread(api: Api) -> None:
    body = await create(api)
    assert body == {
        "thread_id": body["thread_id"],
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
        "state_updated_at": body["created_at"],
        "metadata": {},
        "status": "idle",
        "config": {},
        "values": None,
    }
    assert await (await api.get(f"/threads/{body['thread_id']}")).json() == body


async def test_an_id_in_any_spelling_is_one_thread(api: Api) -> None:
    thread_id = uuid.uuid4()
    body = await create(api, thread_id=thread_id.hex.upper(), metadata={"a": {"b": [1, {}]}})
    assert body["thread_id"] == str(thread_id)
    assert await (await api.get(f"/threads/{thread_id.hex}")).json() == body
    await refused(api, "POST", "/threads", 409, json={"thread_id": str(thread_id)})
    again = await create(api, thread_id=str(thread_id), if_exists="do_nothing", metadata={"b": 2})
    assert again == body


@pytest.mark.parametrize(
    "body",
    [
        {"thread_id": "bad"},
        {"thread_id": None},
        {"metadata": None},
        {"metadata": "x"},
        {"metadata": {"graph_id": 1}},
        {"if_exists": "replace"},
        {"ttl": 60},
        {"ttl": {"strategy": "explode"}},
        {"ttl": {"ttl": 1, "strategy": "explode"}},
        {"ttl": {"ttl": 1e9}},
        {"ttl": {"ttl": -1e300}},
        {"supersteps": [{"updates": [{"values": {}}]}]},
        {"supersteps": [{"updates": []}]},
        {"supersteps": [{}]},
        {"supersteps": [{"updates": [{"as_node": None}]}]},
    ],
)
async def test_what_cannot_be_created(api: Api, body: dict[str, Any]) -> None:
    assert await refused(api, "POST", "/threads", 422, json=body)


async def test_a_ttl_and_empty_supersteps_are_accepted(api: Api) -> None:
    await create(api, ttl={"ttl": 30}, supersteps=[])
    await create(api, ttl={"ttl": -1.5, "strategy": "keep_latest"})


async def test_a_ttl_is_shown_to_those_who_ask(api: Api) -> None:
    path = f"/threads/{(await create(api, ttl={'ttl': 30}))['thread_id']}"
    assert "ttl" not in await (await api.get(path)).json()
    for include in ("ttl", "x, ttl"):
        body = await (await api.get(path, params={"include": include})).json()
        ends = datetime.fromisoformat(body["updated_at"]) + timedelta(minutes=30)
        assert body["ttl"] == {
            "strategy": "delete",
            "ttl_minutes": 30,
            "expires_at": ends.isoformat(timespec="microseconds"),
        }
    await api.patch(path, json={"ttl": {"ttl": -1.5, "strategy": "keep_latest"}})
    body = await (await api.get(path, params={"include": "ttl"})).json()
    assert (body["ttl"]["strategy"], body["ttl"]["ttl_minutes"]) == ("keep_latest", -1.5)
    assert body["ttl"]["expires_at"] < body["updated_at"]
    plain = f"/threads/{(await create(api))['thread_id']}"
    assert "ttl" not in await (await api.get(plain, params={"include": "ttl"})).json()


async def test_metadata_have_limits(api: Api) -> None:
    path = f"/threads/{(await create(api, metadata={'a': 'x' * 40_000}))['thread_id']}"
    assert "limit: 163840" in await refused(api, "PATCH", path, 413, json={"metadata": {"b": "x" * 130_000}})
    assert "limit: 163840" in await refused(api, "POST", "/threads", 413, json={"metadata": {"b": "x" * 170_000}})
    deep: Any = {}
    for _ in range(20):
        deep = {"a": deep}
    assert "limit: 20 levels" in await refused(api, "POST", "/threads", 422, json={"metadata": deep})
    await create(api, metadata=deep["a"])


async def test_patch(api: Api) -> None:
    path = f"/threads/{(await create(api, metadata={'a': 1}))['thread_id']}"
    body = await (await api.patch(path, json={"metadata": {"b": 2}, "unknown": 1})).json()
    assert body["metadata"] == {"a": 1, "b": 2}
    minimal = await api.patch(path, json={"metadata": {"c": 3}}, headers={"Prefer": "return=minimal"})
    assert (minimal.status, await minimal.read()) == (204, b"")
    assert (await (await api.get(path)).json())["metadata"] == {"a": 1, "b": 2, "c": 3}
    await refused(api, "PATCH", path, 422, json={"metadata": None})
    await refused(api, "PATCH", f"/threads/{uuid.uuid4()}", 404, json={})
    await refused(api, "PUT", path, 405, json={})


async def test_delete(api: Api) -> None:
    path = f"/threads/{(await create(api))['thread_id']}"
    response = await api.delete(path)
    assert (response.status, await response.read()) == (204, b"")
    await refused(api, "GET", path, 404)
    await refused(api, "DELETE", path, 404)
    assert await refused(api, "DELETE", "/threads/bad", 422) == "Invalid thread ID: must be a UUID"


async def test_prune_deletes_threads_and_skips_those_that_are_not_there(api: Api) -> None:
    ids = [(await create(api))["thread_id"] for _ in range(3)]
    asked = [ids[0], ids[1].upper(), ids[1], str(uuid.uuid4())]
    response = await api.post("/threads/prune", json={"thread_ids": asked})
    assert (response.status, await response.json()) == (200, {"pruned_count": 2})
    await refused(api, "GET", f"/threads/{ids[0]}", 404)
    assert (await api.get(f"/threads/{ids[2]}")).status == 200
    kept = await api.post("/threads/prune", json={"thread_ids": asked[:1] + ids[2:], "strategy": "keep_latest"})
    assert await kept.json() == {"pruned_count": 1}
    assert await (await api.post("/threads/prune", json={"thread_ids": []})).json() == {"pruned_count": 0}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"thread_ids": None},
        {"thread_ids": ["bad"]},
        {"thread_ids": [1]},
        {"thread_ids": [], "strategy": "burn"},
        {"thread_ids": [str(uuid.uuid4())] * 1001},
    ],
)
async def test_what_cannot_be_pruned(api: Api, body: dict[str, Any]) -> None:
    assert await refused(api, "POST", "/threads/prune", 422, json=body)


async def test_copy_and_storage_of_a_thread_without_states(api: Api) -> None:
    thread = await create(api, metadata={"a": 1, "graph_id": "g"}, ttl={"ttl": 5})
    copied = await (await api.post(f"/threads/{thread['thread_id']}/copy")).json()
    assert copied["thread_id"] != thread["thread_id"]
    assert (copied["metadata"], copied["status"], copied["values"]) == ({"a": 1, "graph_id": "g"}, "idle", None)
    assert "ttl" in await (await api.get(f"/threads/{copied['thread_id']}", params={"include": "ttl"})).json()
    assert await (await api.get(f"/threads/{copied['thread_id']}/storage")).json() == {
        "thread_id": copied["thread_id"],
        "total_bytes": 0,
        "checkpoints": {"count": 0, "bytes": 0},
        "channel_values": {"count": 0, "bytes": 0, "by_channel": {}},
        "pending_writes": {"count": 0, "bytes": 0},
    }
    await refused(api, "POST", f"/threads/{uuid.uuid4()}/copy", 409)
    await refused(api, "POST", "/threads/bad/copy", 422)
    await refused(api, "GET", f"/threads/{uuid.uuid4()}/storage", 404)
    await refused(api, "GET", "/threads/bad/storage", 422)
