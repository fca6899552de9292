"""How much one request may name: more is refused, with the limit."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_api.app import build

Api = TestClient[web.Request, web.Application]
DEEP: Any = []
for _ in range(250):
    DEEP = [DEEP]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings))) as started:
        yield started


@pytest.mark.parametrize(
    ("path", "body", "status", "limit"),
    [
        ("/threads/search", {"ids": [uuid7()] * 10_001}, 422, "10000"),
        ("/threads/count", {"ids": [uuid7()] * 10_001}, 422, "10000"),
        ("/threads/search", {"limit": 1001}, 422, "1000"),
        ("/threads/search", {"offset": 2**31 + 1}, 422, "2147483648"),
        ("/threads/search", {"values": {"a": DEEP}}, 422, "200"),
        ("/threads/prune", {"thread_ids": [uuid7()] * 1001}, 422, "1000"),
        ("/threads", {"supersteps": [{"updates": [{"values": {}, "as_node": "n"}]}] * 1001}, 422, "1000"),
        ("/runs/cancel", {"thread_id": uuid7(), "run_ids": [uuid7()] * 1001}, 422, "1000"),
        ("/runs/batch", [{"assistant_id": "g"}] * 101, 413, "100"),
        ("/assistants/search", {"limit": 1001}, 422, "1000"),
        ("/runs/crons/search", {"limit": 1001}, 422, "1000"),
    ],
)
async def test_more_than_the_limit_is_refused_with_the_limit(
    api: Api, path: str, body: Any, status: int, limit: str
) -> None:
    response = await api.post(path, json=body)
    detail = (await response.json())["detail"]
    assert (response.status, limit in detail) == (status, True), detail


@pytest.mark.parametrize("offset", [2**31 + 1, 2**63, 10**30])
async def test_an_offset_beyond_all_lists_breaks_nothing(api: Api, offset: int) -> None:
    thread_id = (await (await api.post("/threads", json={})).json())["thread_id"]
    for path in (f"/threads/{thread_id}/runs", "/assistants", f"/threads/{thread_id}/messages"):
        response = await api.get(path, params={"offset": str(offset)})
        assert response.status in (200, 422), (path, await response.text())
    await api.delete(f"/threads/{thread_id}")
