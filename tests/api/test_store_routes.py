"""The routes of the long-term store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.config.store import StoreConfig, TtlConfig
from lineshaft.redis.client import Client
from lineshaft.store.items import MAX_NAME, MAX_TTL, ItemStore, Put
from lineshaft_api.app import build
from lineshaft_api.routes import store

Api = TestClient[web.Request, web.Application]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings, store.OPERATIONS))) as started:
        yield started


async def put(api: Api, namespace: list[str], key: str, value: Any, **fields: Any) -> None:
    response = await api.put("/store/items", json={"namespace": namespace, "key": key, "value": value, **fields})
    assert (response.status, await response.text()) == (204, "")


async def get(api: Api, namespace: str, key: str, **params: str) -> Any:
    response = await api.get("/store/items", params={"namespace": namespace, "key": key, **params})
    assert response.status == 200, await response.text()
    return await response.json()


async def search(api: Api, **fields: Any) -> list[str]:
    response = await api.post("/store/items/search", json=fields)
    assert response.status == 200, await response.text()
    return [item["key"] for item in (await response.json())["items"]]


async def namespaces(api: Api, **fields: Any) -> Any:
    response = await api.post("/store/namespaces", json=fields)
    assert response.status == 200, await response.text()
    return (await response.json())["namespaces"]


async def refused(api: Api, method: str, path: str, status: int, **request: Any) -> str:
    response = await api.request(method, path, **request)
    assert response.status == status, await response.text()
    detail: str = (await response.json())["detail"]
    return detail


async def test_an_item_is_stored_read_overwritten_and_deleted(api: Api) -> None:
    await put(api, ["a", "b"], "k", {"x": 1, "big": 2**70, "none": None})
    first = await get(api, "a.b", "k")
    assert first == {
        "namespace": ["a", "b"],
        "key": "k",
        "value": {"x": 1, "big": 2**70, "none": None},
        "created_at": first["created_at"],
        "updated_at": first["created_at"],
    }
    await put(api, ["a", "b"], "k", {})
    second = await get(api, "a.b", "k")
    assert second["value"] == {}
    assert second["created_at"] == first["created_at"] < second["updated_at"]
    for _ in range(2):
        response = await api.delete("/store/items", json={"namespace": ["a", "b"], "key": "k"})
        assert response.status == 204
    assert await get(api, "a.b", "k") is None
    assert (await api.delete("/store/items", json={"key": "k"})).status == 204


async def test_an_item_may_have_an_empty_key(api: Api) -> None:
    await put(api, ["a"], "", {"x": 1})
    assert (await get(api, "a", ""))["value"] == {"x": 1}


@pytest.mark.parametrize("namespace", [["a.b"], ["a", ""], [""], ["a\0"]])
async def test_a_bad_label_is_refused_everywhere(api: Api, namespace: list[str]) -> None:
    item = {"namespace": namespace, "key": "k"}
    assert "label" in await refused(api, "PUT", "/store/items", 422, json={**item, "value": {}})
    assert "label" in await refused(api, "DELETE", "/store/items", 422, json=item)
    assert "label" in await refused(api, "POST", "/store/items/search", 422, json={"namespace_prefix": namespace})
    assert "label" in await refused(api, "POST", "/store/namespaces", 422, json={"prefix": namespace})
    if namespace != ["a\0"]:  # no namespace ends with it
        assert "label" in await refused(api, "POST", "/store/namespaces", 422, json={"suffix": namespace})


async def test_what_cannot_be_stored_is_refused_with_a_reason(api: Api) -> None:
    async def put_refused(status: int, **changes: Any) -> str:
        item = {"namespace": ["a"], "key": "k", "value": {}, **changes}
        return await refused(api, "PUT", "/store/items", status, json=item)

    assert "empty" in await put_refused(400, namespace=[])
    assert "langgraph" in await put_refused(400, namespace=["langgraph", "x"])
    assert "$.value" in await put_refused(422, value=[1])
    assert "$.index" in await put_refused(422, index=True)
    assert str(MAX_NAME) in await put_refused(422, key="k" * (MAX_NAME + 1))
    assert str(MAX_NAME) in await put_refused(422, namespace=["n"] * MAX_NAME)
    assert str(MAX_TTL) in await put_refused(422, ttl=1e300)
    assert await namespaces(api) == []


async def test_reading_needs_a_namespace_and_a_key(api: Api) -> None:
    assert "Key" in await refused(api, "GET", "/store/items?namespace=a", 400)
    assert "label" in await refused(api, "GET", "/store/items?key=k", 422)
    assert "label" in await refused(api, "GET", "/store/items?namespace=a..b&key=k", 422)


async def test_a_search_has_pages_and_a_default_limit(api: Api) -> None:
    for i in range(12):
        await put(api, ["a"], str(i), {})
    await put(api, ["ab"], "other", {})
    assert await search(api) == [str(i) for i in range(10)]
    everything = [*map(str, range(12)), "other"]
    assert await search(api, limit=100, namespace_prefix=None) == everything
    assert await search(api, limit=100, namespace_prefix=[]) == everything
    assert await search(api, namespace_prefix=["a"], limit=0) == [str(i) for i in range(10)]
    assert await search(api, namespace_prefix=["a"], limit=2, offset=11) == ["11"]
    assert await search(api, namespace_prefix=["a"], limit=2**70, offset=2**70) == []
    response = await api.post("/store/items/search", json={"namespace_prefix": ["ab"], "query": "nothing like it"})
    assert [item["score"] for item in (await response.json())["items"]] == [None]
    for fields in ({"limit": -1}, {"offset": -1}, {"limit": "1"}, {"filter": 5}, {"query": 5}):
        await refused(api, "POST", "/store/items/search", 422, json=fields)


async def test_filters_compare_what_can_be_compared(api: Api) -> None:
    await put(api, ["a"], "one", {"x": 1, "deep": {"y": 1}})
    await put(api, ["a"], "none", {"x": None})
    await put(api, ["a"], "text", {"x": "t"})
    await put(api, ["a"], "without", {})
    assert await search(api, filter={"x": {"$gte": 0}}) == ["one"]
    assert await search(api, filter={"x": {"$ne": 1}}) == ["none", "text", "without"]
    assert await search(api, filter={"deep": {"y": {"$lt": 2}}}) == ["one"]
    for null in ({"x": None}, {"deep": {"z": None}}):
        assert await search(api, filter=null) == []
    assert "$in" in await refused(api, "POST", "/store/items/search", 400, json={"filter": {"x": {"$in": [1]}}})


async def test_a_number_that_no_float_holds_is_passed_over_by_comparisons(api: Api, client: Client) -> None:
    await put(api, ["a"], "one", {"x": 1})
    huge = msgspec.json.encode({"x": 10**400})  # as a graph may store it
    await ItemStore(client).put([Put(("a",), "huge", huge)])
    assert await search(api, filter={"x": {"$gte": 0}}) == ["one"]


async def test_namespaces_are_cut_and_paged(api: Api) -> None:
    for path in (["a", "b", "c"], ["a", "b", "d"], ["a", "x"], ["b"]):
        await put(api, path, "k", {})
    assert await namespaces(api, max_depth=2) == [["a", "b"], ["a", "x"], ["b"]]
    assert await namespaces(api, max_depth=1, limit=1, offset=1) == [["b"]]
    assert await namespaces(api, prefix=["a", "*"], suffix=["d"]) == [["a", "b", "d"]]
    assert await namespaces(api, prefix=[], suffix=[], limit=2**70) == [
        ["a", "b", "c"],
        ["a", "b", "d"],
        ["a", "x"],
        ["b"],
    ]
    assert await namespaces(api, limit=0) == []
    for fields in ({"max_depth": 0}, {"max_depth": None}, {"limit": -1}, {"suffix": None}):
        await refused(api, "POST", "/store/namespaces", 422, json=fields)


async def test_reading_starts_the_time_to_live_anew_if_it_is_to(api: Api, client: Client) -> None:
    await put(api, ["a"], "k", {}, ttl=10)
    key = client.keys.store_expiry()
    [(member, full)] = await client.redis.zrange(key, 0, -1, withscores=True)

    async def is_refreshed_by(read: Any) -> bool:
        await client.redis.zadd(key, {member: full - 300_000})
        await read
        return bool(await client.redis.zscore(key, member) >= full)

    assert await is_refreshed_by(get(api, "a", "k"))
    assert await is_refreshed_by(get(api, "a", "k", refresh_ttl="TRUE"))
    assert not await is_refreshed_by(get(api, "a", "k", refresh_ttl="1"))
    assert await is_refreshed_by(search(api, namespace_prefix=["a"]))
    assert not await is_refreshed_by(search(api, namespace_prefix=["a"], refresh_ttl=False))


async def test_the_configuration_says_what_holds_where_a_request_does_not(client: Client, settings: Settings) -> None:
    config = StoreConfig(ttl=TtlConfig(default_ttl=10, refresh_on_read=False))
    settings = msgspec.structs.replace(settings, langgraph_store=config)
    key = client.keys.store_expiry()
    async with TestClient(TestServer(build(client, settings, store.OPERATIONS))) as api:
        await put(api, ["a"], "default", {}, ttl=None)
        await put(api, ["a"], "long", {}, ttl=MAX_TTL)
        (first, default), (_, long) = await client.redis.zrange(key, 0, -1, withscores=True)
        assert first.endswith(b"default")
        assert long - default > 59_000 * (MAX_TTL - 10)
        await client.redis.zadd(key, {first: default - 300_000})
        await get(api, "a", "default")
        await search(api, namespace_prefix=["a"])
        assert await client.redis.zscore(key, first) == default - 300_000
        await get(api, "a", "default", refresh_ttl="true")
        assert await client.redis.zscore(key, first) >= default


async def test_an_item_whose_time_is_over_is_gone(api: Api) -> None:
    await put(api, ["a"], "over", {}, ttl=-1.5e308)  # as -1, and once an error of the server
    await put(api, ["a"], "kept", {}, ttl=MAX_TTL)
    assert await get(api, "a", "over") is None
    assert await search(api, namespace_prefix=["a"]) == ["kept"]


async def test_a_full_redis_takes_no_new_item_but_lets_one_be_deleted(api: Api, client: Client) -> None:
    await put(api, ["a"], "k", {})
    await client.redis.set(client.keys.memory(), "9 of 10 MiB", px=60_000)
    response = await api.put("/store/items", json={"namespace": ["a"], "key": "l", "value": {}})
    assert (response.status, "Retry-After" in response.headers) == (503, True)
    assert (await api.delete("/store/items", json={"namespace": ["a"], "key": "k"})).status == 204
    assert await namespaces(api) == []


async def test_a_search_that_finds_too_much_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineshaft.store.items._MAX_FOUND", 1000)
    await asyncio.gather(*(put(api, ["a"], str(i), {"text": "x" * 100}) for i in range(10)))
    assert "limit" in await refused(api, "POST", "/store/items/search", 413, json={"limit": 10})
    assert len(await search(api, limit=5)) == 5
