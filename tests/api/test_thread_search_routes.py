"""Searching and counting threads over HTTP: pages, selections, what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.search import Page
from lineshaft_api.app import build
from lineshaft_api.paging import paged
from lineshaft_api.routes import thread_search, threads

from .thread_requests import Api, create, refused


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    operations = [*threads.OPERATIONS, *thread_search.OPERATIONS]
    async with TestClient(TestServer(build(client, settings, operations))) as started:
        yield started


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
        {"values": None},
        {"values": [1]},
        {"extract": {"a": "status"}},
        {"extract": {"thread_id": "values.a"}},
        {"extract": {"a": "values" + ".a" * 2_100}},
        {"extract": {f"a{n}": "values.a" for n in range(11)}},
        {"offset": 2**40},
    ],
)
async def test_searches_that_cannot_be_done(api: Api, body: dict[str, Any]) -> None:
    assert await refused(api, "POST", "/threads/search", 422, json=body)


async def test_an_empty_body_is_not_an_empty_object(api: Api) -> None:
    await refused(api, "POST", "/threads/search", 422)
    assert await (await api.post("/threads/search", json={})).json() == []


async def test_count(api: Api) -> None:
    made = [(await create(api, metadata={"even": i % 2 == 0, "list": [i]}))["thread_id"] for i in range(3)]

    async def count(**body: Any) -> Any:
        return await (await api.post("/threads/count", json=body)).json()

    assert await count() == 3
    assert await count(metadata={"even": True}) == 2
    assert await count(metadata={"even": True, "list": [2]}, status="idle") == 1
    assert await count(ids=made[:2], metadata={"even": True}) == 1
    assert await count(values={"a": 1}) == 0
    assert await count(values={}) == 3
    await refused(api, "POST", "/threads/count", 422, json={"values": None})


def test_a_field_that_is_selected_again_is_read_once() -> None:
    class Row:
        reads = 0

        @property
        def status(self) -> str:
            self.reads += 1
            return "idle"

    row = Row()
    rows: Any = paged(Page([row], None, 1), ["status"] * 100_000).value
    assert rows == [{"status": "idle"}]
    assert row.reads == 1


async def test_values_filter_and_extract(api: Api, client: Client) -> None:
    thread_id = (await create(api, metadata={"a": {"b": 1}}))["thread_id"]
    await create(api)
    await client.command("HSET", client.keys.thread_snapshot(thread_id), "state", b'{"values":{"n":[1,2]}}')
    body: dict[str, Any] = {"values": {"n": [1, 2]}, "extract": {"last": "values.n[-1]", "b": "metadata.a.b"}}
    (row,) = await (await api.post("/threads/search", json=body)).json()
    assert row["extracted"] == {"last": 2, "b": 1} and row["thread_id"] == thread_id
    (row,) = await (await api.post("/threads/search", json={**body, "select": ["status"]})).json()
    assert row == {"status": "idle", "extracted": {"last": 2, "b": 1}}
