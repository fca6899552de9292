"""The routes of threads: bodies, statuses, headers."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.redis import Client
from lineshaft.settings import Settings
from lineshaft_api.app import build
from lineshaft_api.routes import threads

Api = TestClient[web.Request, web.Application]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings, threads.OPERATIONS))) as started:
        yield started


async def create(api: Api, **fields: Any) -> Any:
    response = await api.post("/threads", json=fields)
    assert response.status == 200, await response.text()
    return await response.json()


async def refused(api: Api, method: str, path: str, status: int, **kwargs: Any) -> str:
    response = await api.request(method, path, **kwargs)
    assert response.status == status, await response.text()
    detail: str = (await response.json())["detail"]
    return detail


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
        {"supersteps": [{"updates": [{"values": {}, "as_node": "a"}]}]},
    ],
)
async def test_what_cannot_be_created(api: Api, body: dict[str, Any]) -> None:
    assert await refused(api, "POST", "/threads", 422, json=body)


async def test_a_ttl_and_empty_supersteps_are_accepted(api: Api) -> None:
    await create(api, ttl={"ttl": 30}, supersteps=[])
    await create(api, ttl={"ttl": -1.5, "strategy": "keep_latest"})


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


async def test_search_pages_and_selects(api: Api) -> None:
    made = [(await create(api, metadata={"tag": "t", "i": i}))["thread_id"] for i in range(3)]
    await create(api, metadata={"tag": "other"})
    response = await api.post("/threads/search", json={"metadata": {"tag": "t"}, "limit": 2, "select": ["thread_id"]})
    rows = await response.json()
    assert (len(rows), {*rows[0]}) == (2, {"thread_id"})
    assert (response.headers["X-Pagination-Next"], response.headers["X-Pagination-Total"]) == ("2", "3")
    response = await api.post("/threads/search", json={"metadata": {"tag": "t"}, "limit": 2, "offset": 2})
    rows += await response.json()
    assert "X-Pagination-Next" not in response.headers
    assert response.headers["X-Pagination-Total"] == "3"
    assert {row["thread_id"] for row in rows} == set(made)

    def search(**body: Any) -> Any:
        return api.post("/threads/search", json=body)

    assert await (await search(ids=[made[1], made[1].upper()], select=["metadata", "interrupts"])).json() == [
        {"metadata": {"tag": "t", "i": 1}}
    ]
    assert await (await search(status="busy")).json() == []
    assert len(await (await search(limit=1.0)).json()) == 1
    by_id = await (await search(sort_by="thread_id", sort_order="asc")).json()
    assert [row["thread_id"] for row in by_id] == sorted(row["thread_id"] for row in by_id)


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "5"},
        {"limit": None},
        {"offset": -1},
        {"sort_by": "metadata"},
        {"sort_order": "up"},
        {"select": ["secret"]},
        {"select": ["error"]},
        {"metadata": "x"},
        {"status": "sleepy"},
        {"ids": ["bad"]},
        {"values": {"a": 1}},
        {"extract": {"a": "values.a"}},
    ],
)
async def test_searches_that_cannot_be_done(api: Api, body: dict[str, Any]) -> None:
    assert await refused(api, "POST", "/threads/search", 422, json=body)


async def test_an_empty_body_is_not_an_empty_object(api: Api) -> None:
    await refused(api, "POST", "/threads/search", 422)
    assert await (await api.post("/threads/search", json={})).json() == []


async def test_count(api: Api) -> None:
    for i in range(3):
        await create(api, metadata={"even": i % 2 == 0, "list": [i]})

    async def count(**body: Any) -> Any:
        return await (await api.post("/threads/count", json=body)).json()

    assert await count() == 3
    assert await count(metadata={"even": True}) == 2
    assert await count(metadata={"even": True, "list": [2]}, status="idle") == 1
    await refused(api, "POST", "/threads/count", 422, json={"values": {"a": 1}})
