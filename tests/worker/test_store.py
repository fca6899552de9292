"""The long-term store inside graphs."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore, GetOp, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel
from typing_extensions import TypedDict

from lineshaft.config.store import StoreConfig, TtlConfig
from lineshaft.errors import BadRequest, Fenced, Invalid
from lineshaft.redis.client import Client
from lineshaft_worker.store import RedisStore


@pytest.fixture
async def store(client: Client) -> RedisStore:
    return RedisStore(client)


async def expire_everything(client: Client) -> None:
    """As if the time of every item that has one were over."""
    key = client.keys.store_expiry()
    for member in await client.redis.zrange(key, 0, -1):
        await client.redis.zadd(key, {member: 1})


async def keys(store: BaseStore, *prefix: str, **options: Any) -> list[str]:
    return [item.key for item in await store.asearch(prefix, **options)]


async def test_an_item_comes_back_as_it_was(store: RedisStore) -> None:
    value = {"x": 1, "deep": {"list": [1, None, "é", []]}, "empty": {}, "big": 2**80, "float": 1.5}
    await store.aput(("users", "ü"), "k\0y", value)
    item = await store.aget(("users", "ü"), "k\0y")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (("users", "ü"), "k\0y", value)
    assert item.created_at == item.updated_at
    json.dumps(item.dict())
    assert await store.aget(("users",), "k\0y") is None


async def test_overwriting_replaces_the_value_and_keeps_the_creation_time(store: RedisStore) -> None:
    await store.aput(("a",), "k", {"x": 1, "y": 1})
    first = await store.aget(("a",), "k")
    await store.aput(("a",), "k", {"x": 2})
    second = await store.aget(("a",), "k")
    assert first is not None
    assert second is not None
    assert second.value == {"x": 2}
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert second.updated_at - first.updated_at < timedelta(seconds=60)


async def test_deleting_the_last_item_leaves_no_key(client: Client, store: RedisStore) -> None:
    await store.aput(("a",), "k", {"x": 1}, ttl=1)
    await store.adelete(("a",), "k")
    await store.adelete(("a",), "never there")
    assert await client.redis.keys("ls:store:*") == []


async def test_a_search_finds_whole_labels_in_the_order_of_creation(store: RedisStore) -> None:
    for namespace, key in [(("b",), "1"), (("a", "x"), "3"), (("a", "x"), "2"), (("a",), "9"), (("ab",), "0")]:
        await store.aput(namespace, key, {})
    assert await keys(store, "a") == ["9", "3", "2"]
    assert await keys(store, "a", "x") == ["3", "2"]
    assert await keys(store) == ["9", "3", "2", "0", "1"]
    assert await keys(store, "a", limit=1, offset=1) == ["3"]
    assert await keys(store, "a", limit=0) == []
    assert await keys(store, "nothing") == []
    assert await keys(store, "a", query="ignored without an index") == ["9", "3", "2"]


async def test_items_of_one_batch_keep_their_order_over_many_pages(store: RedisStore) -> None:
    many = [PutOp(("a", str(i % 700)), str(i), {"n": i}) for i in range(2100)]
    await store.abatch(many)
    found = await store.asearch(("a",), limit=5000)
    expected = sorted(many, key=lambda put: (put.namespace, int(put.key)))
    assert [(item.namespace, item.key) for item in found] == [(put.namespace, put.key) for put in expected]
    assert await keys(store, filter={"n": {"$gte": 2098}}) == sorted(["2098", "2099"], key=lambda k: str(int(k) % 700))
    assert len(await store.asearch(("a",), limit=100, offset=2050)) == 50


FILTERS: list[dict[str, Any]] = [
    {"color": "red"},
    {"color": "red", "x": 2},
    {"x": {"$eq": 2}},
    {"x": {"$ne": 2}},
    {"x": {"$gt": 1}},
    {"x": {"$gte": 1, "$lt": 3}},
    {"x": {"$lte": 1}},
    {"deep": {"y": 2}},
    {"deep": {"y": {"$gt": 1}, "z": "z"}},
    {"tags": ["a", "b"]},
    {"tags": ["a"]},
    {"none": None},
    {},
]


@pytest.mark.parametrize("wanted", FILTERS)
async def test_filters_compare_as_the_in_memory_store_does(store: RedisStore, wanted: dict[str, Any]) -> None:
    reference = InMemoryStore()
    for each in (store, reference):
        for i in range(5):
            value = {
                "color": "red" if i % 2 else "blue",
                "x": i,
                "deep": {"y": i, "z": "z"},
                "tags": ["a", "b"][: i + 1],
            }
            await each.aput(("a",), str(i), value)
    assert await keys(store, "a", filter=wanted) == await keys(reference, "a", filter=wanted)


async def test_comparing_what_has_no_order_matches_nothing(store: RedisStore) -> None:
    await store.aput(("a",), "without", {})
    await store.aput(("a",), "text", {"x": "many"})
    await store.aput(("a",), "number", {"x": 5})
    assert await keys(store, "a", filter={"x": {"$gt": 1}}) == ["number"]
    for wanted in ({"x": {"$regex": "a"}}, {"x": {"y": {"$in": [1]}}}, {"x": {"$gt": 1, "y": 1}}):
        with pytest.raises(BadRequest, match="Unsupported operator"):
            await store.asearch(("a",), filter=wanted)


async def test_namespaces_are_listed_as_the_in_memory_store_does(store: RedisStore) -> None:
    reference = InMemoryStore()
    names = [
        ("a", "b", "c"),
        ("a", "b", "d"),
        ("a", "x"),
        ("ab", "b"),
        ("z",),
        ("a", "q", "c"),
        ("a",),
        ("b", "b", "c", "e"),
    ]
    for each in (store, reference):
        for namespace in names:
            await each.aput(namespace, "k", {})
    questions: list[dict[str, Any]] = [
        {},
        {"prefix": ("a",)},
        {"prefix": ("a", "*", "c")},
        {"prefix": ("*", "b")},
        {"suffix": ("c",)},
        {"suffix": ("*", "c")},
        {"prefix": ("a",), "suffix": ("c",)},
        {"max_depth": 1},
        {"max_depth": 2, "prefix": ("a",)},
        {"limit": 2, "offset": 1},
        {"max_depth": 1, "limit": 2, "offset": 1},
        {"limit": 0},
        {"prefix": ("nothing",)},
    ]
    for question in questions:
        assert await store.alist_namespaces(**question) == await reference.alist_namespaces(**question), question


async def test_an_expired_item_is_invisible_and_swept_in_passing(client: Client, store: RedisStore) -> None:
    await store.aput(("a",), "short", {"x": 1}, ttl=0.5)
    await store.aput(("a",), "long", {"x": 1})
    assert await keys(store, "a") == ["short", "long"]
    await expire_everything(client)
    assert await store.aget(("a",), "short") is None
    assert await client.redis.execute_command("HLEN", client.keys.store_items("a")) == 2
    assert await keys(store, "a") == ["long"]
    assert await client.redis.execute_command("HLEN", client.keys.store_items("a")) == 1
    await store.aput(("gone",), "short", {"x": 1}, ttl=0)
    assert await store.alist_namespaces() == [("a",)]


async def test_reading_starts_the_time_to_live_anew_unless_told_otherwise(client: Client, store: RedisStore) -> None:
    await store.aput(("a",), "k", {"x": 1}, ttl=10)
    key = client.keys.store_expiry()
    [(member, full)] = await client.redis.zrange(key, 0, -1, withscores=True)

    async def left_after(read: Any) -> float:
        await client.redis.zadd(key, {member: full - 300_000})
        await read
        left = await client.redis.zscore(key, member)
        return float(full - left)

    assert await left_after(store.aget(("a",), "k")) <= 0
    assert await left_after(store.asearch(("a",))) <= 0
    assert await left_after(store.aget(("a",), "k", refresh_ttl=False)) == 300_000
    assert await left_after(store.asearch(("a",), refresh_ttl=False)) == 300_000
    await store.aput(("a",), "k", {"x": 1})
    assert await client.redis.zcard(key) == 0


async def test_a_default_ttl_applies_where_none_is_given(client: Client) -> None:
    config = StoreConfig(ttl=TtlConfig(default_ttl=5, refresh_on_read=False))
    client.settings = msgspec.structs.replace(client.settings, langgraph_store=config)
    store = RedisStore(client)
    await store.aput(("a",), "default", {})
    await store.aput(("a",), "for ever", {}, ttl=None)
    assert await client.redis.zrange(client.keys.store_expiry(), 0, -1) == [b"a\0\0default"]


async def test_reads_of_a_batch_see_what_was_there_before(store: RedisStore) -> None:
    await store.aput(("a",), "k", {"x": 1})
    results = await store.abatch(
        [
            PutOp(("a",), "k", {"x": 2}),
            GetOp(("a",), "k"),
            PutOp(("a",), "k", {"x": 3}),
            SearchOp(("a",)),
            ListNamespacesOp(),
            GetOp(("a",), "missing"),
        ]
    )
    assert results[0] is None
    assert results[1].value == {"x": 1}  # type: ignore[union-attr]  # Result is a union over all operations
    assert [item.value for item in results[3]] == [{"x": 1}]  # type: ignore[union-attr]  # as above
    assert results[4:] == [[("a",)], None]
    found = await store.aget(("a",), "k")
    assert found is not None
    assert found.value == {"x": 3}


class Person(BaseModel):
    name: str


async def test_models_are_stored_as_json_and_other_objects_refused(store: RedisStore) -> None:
    await store.aput(("a",), "k", {"person": Person(name="p")})
    assert (await store.asearch(("a",)))[0].value == {"person": {"name": "p"}}
    with pytest.raises(TypeError, match="must be JSON"):
        await store.aput(("a",), "k", {"x": object()})


@pytest.mark.parametrize("namespace", [(), ("a\0b",), ("a", "")])
async def test_bad_namespaces_are_refused(store: RedisStore, namespace: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match=r"[Nn]amespace"):
        await store.abatch([PutOp(namespace, "k", {})])


async def test_a_lost_run_writes_nothing(client: Client, store: RedisStore) -> None:
    await client.redis.execute_command("HSET", client.keys.run("run"), "token", "1.w")
    fenced = store.for_run("run", "1.w")
    await fenced.aput(("a",), "k", {"x": 1})
    await client.redis.execute_command("HSET", client.keys.run("run"), "token", "2.other")
    with pytest.raises(Fenced):
        await fenced.aput(("a",), "k", {"x": 2})
    with pytest.raises(Fenced):
        await fenced.adelete(("a",), "k")
    found = await fenced.aget(("a",), "k")
    assert found is not None
    assert found.value == {"x": 1}


class State(TypedDict):
    seen: int


async def test_plain_function_nodes_use_it_from_their_thread(store: RedisStore) -> None:
    def remember(_: State, *, store: BaseStore) -> State:
        store.put(("a",), "k", {"x": 1})
        item = store.get(("a",), "k")
        assert item is not None
        assert store.list_namespaces() == [("a",)]
        assert [found.key for found in store.search(("a",))] == ["k"]
        store.delete(("a",), "k")
        return {"seen": item.value["x"]}

    graph: Any = StateGraph(State)
    graph.add_node("remember", remember)
    graph.add_edge(START, "remember")
    assert await graph.compile(store=store).ainvoke({"seen": 0}) == {"seen": 1}


async def test_a_synchronous_call_on_the_loop_says_what_to_do(store: RedisStore) -> None:
    with pytest.raises(asyncio.InvalidStateError, match="await abatch"):
        store.put(("a",), "k", {})
