"""Searches give what a look at every thread would give, whatever plan the script takes."""

import random
from typing import Any

import pytest

from lineshaft.redis.client import Client
from lineshaft.search import MAX_LEAVES, contains
from lineshaft.threads.search import Filter, SortBy, ThreadSearch
from lineshaft.threads.thread import Thread, ThreadStore

STATUSES = ("idle", "busy", "interrupted", "error")
ORDERS: list[SortBy] = ["thread_id", "status", "created_at", "updated_at", "state_updated_at"]


def redis(client: Client) -> Any:
    return client.redis  # redis-py's annotations say of every command that it may also not be awaitable


@pytest.fixture
def threads(client: Client) -> ThreadStore:
    return ThreadStore(client)


@pytest.fixture
def search(client: Client) -> ThreadSearch:
    return ThreadSearch(client)


def some_metadata(rng: random.Random) -> dict[str, Any]:
    metadata: dict[str, Any] = {"owner": f"u{int(rng.expovariate(0.3))}", "third": rng.randrange(3)}
    if rng.random() < 0.2:
        metadata["graph_id"] = rng.choice(["chat", "digest"])
    if rng.random() < 0.3:
        metadata["deep"] = {"x": rng.randrange(2), "list": [rng.randrange(2)], "y": {"z": rng.random() < 0.5}}
    if rng.random() < 0.05:
        metadata |= {f"more{i}": i for i in range(MAX_LEAVES)}
        metadata["last"] = rng.randrange(2)
    return metadata


FILTERS: list[dict[str, Any]] = [
    {},
    {"owner": "u0"},
    {"owner": "u9"},
    {"owner": "nobody"},
    {"third": 1},
    {"third": 1, "owner": "u1"},
    {"graph_id": "chat"},
    {"graph_id": "chat", "third": 2},
    {"deep": {"x": 1}},
    {"deep": {"list": [1]}},
    {"deep": {}, "third": 0},
    {"deep": {"y": {"z": True}}},
    {"last": 1},
    {"more3": 3, "last": 0},
    {"assistant_id": "none"},
]


@pytest.mark.parametrize("seed", [1, 2])
async def test_like_a_look_at_every_thread(
    client: Client, threads: ThreadStore, search: ThreadSearch, seed: int
) -> None:
    rng = random.Random(seed)
    ids: list[str] = [(await threads.create(metadata=some_metadata(rng))).thread_id for _ in range(400)]
    for thread_id in rng.sample(ids, 60):
        await threads.patch(thread_id, some_metadata(rng))
    for thread_id in rng.sample(ids, 80):
        await _set_status(client, thread_id, rng.choice(STATUSES))
    for thread_id in rng.sample(ids, 30):
        await threads.delete(thread_id)
        ids.remove(thread_id)
    every = [thread for thread in await threads.read(ids) if thread]
    assert len(every) == 370

    for metadata in FILTERS:
        for status in (None, "idle", rng.choice(STATUSES[1:])):
            where = Filter(metadata=metadata, status=status)  # type: ignore[arg-type]  # a Literal out of a tuple
            expected = {
                thread.thread_id: thread
                for thread in every
                if contains(thread.metadata, metadata) and status in (None, thread.status)
            }
            assert await search.count(where) == len(expected)
            order, descending = rng.choice(ORDERS), rng.random() < 0.5
            limit = rng.choice([1, 7, 50, 1000])
            found = await _all_pages(search, where, order, descending, limit)
            assert [thread.thread_id for thread in found] == list(dict.fromkeys(thread.thread_id for thread in found))
            assert {thread.thread_id for thread in found} == set(expected), (metadata, status, order, limit)
            times = [_sort_key(thread, order) for thread in found]
            assert times == sorted(times, reverse=descending)
            # The same among a list of ids, which no index serves.
            some = rng.sample(ids, 100)
            among = await _all_pages(
                search, Filter(metadata=metadata, status=status, ids=some), order, descending, limit  # type: ignore[arg-type]
            )  # fmt: skip
            assert {thread.thread_id for thread in among} == set(expected) & set(some)
            keys = [_sort_key(thread, order) for thread in among]
            assert keys == sorted(keys, reverse=descending)


async def test_newest_change_first(threads: ThreadStore, search: ThreadSearch) -> None:
    ids = [(await threads.create()).thread_id for _ in range(3)]
    for _ in range(2):  # the second time it is later than all, even if this takes no millisecond
        await threads.patch(ids[1], {})
    found = await search.search(Filter(), limit=1)
    assert [thread.thread_id for thread in found.rows] == [ids[1]]
    assert (found.next, found.total) == (1, 2)
    past = await search.search(Filter(), offset=50)
    assert (past.rows, past.next, past.total) == ([], None, 50)


@pytest.mark.parametrize("descending", [True, False])
async def test_threads_of_one_status_come_newest_first(
    threads: ThreadStore, search: ThreadSearch, *, descending: bool
) -> None:
    made = [(await threads.create()).thread_id for _ in range(3)]
    latest = ""
    for thread_id in made:
        while (changed := (await threads.patch(thread_id, {})).updated_at) <= latest:
            pass  # within one millisecond
        latest = changed
    for where in (Filter(), Filter(ids=made)):
        found = await search.search(where, sort_by="status", descending=descending)
        assert [thread.thread_id for thread in found.rows] == made[::-1]


@pytest.mark.parametrize("conditions", [MAX_LEAVES, MAX_LEAVES + 1, 20_000])
async def test_a_filter_may_have_any_number_of_conditions(
    threads: ThreadStore, search: ThreadSearch, conditions: int
) -> None:
    wanted = {str(i): i % 2 for i in range(conditions)}
    has_all = (await threads.create(metadata={**wanted, "more": 1})).thread_id if conditions < 1_000 else None
    await threads.create(metadata={**dict(list(wanted.items())[:20]), str(MAX_LEAVES - 1): "another"})
    for where in (Filter(metadata=wanted), Filter(metadata={"deep": {}, **wanted})):
        expected = [has_all] if has_all and "deep" not in where.metadata else []
        assert [thread.thread_id for thread in (await search.search(where)).rows] == expected
        assert await search.count(where) == len(expected)


async def test_without_state_nothing_is_said_of_it(client: Client, threads: ThreadStore, search: ThreadSearch) -> None:
    thread_id = (await threads.create()).thread_id
    await redis(client).hset(client.keys.thread_snapshot(thread_id), "state", '{"values": {"n": 1}}')
    (with_state,) = (await search.search(Filter())).rows
    (without,) = (await search.search(Filter(), with_state=False)).rows
    assert bytes(with_state.values) == b'{"n": 1}'
    assert bytes(without.values) == b"null"


async def test_a_long_walk_takes_several_steps(client: Client, search: ThreadSearch) -> None:
    """Two large sets with little in common: no plan finds the few that match in one bounded call."""
    every = [f"t{i:05}" for i in range(45_000)]
    keys = client.keys
    pipe = redis(client).pipeline()
    for start in range(0, len(every), 5_000):
        part = every[start : start + 5_000]
        pipe.zadd(keys.threads_by_updated(), {thread_id: i for i, thread_id in enumerate(part, start)})
        pipe.zadd(keys.threads_by_created(), dict.fromkeys(part, 0))
    even = [thread_id for i, thread_id in enumerate(every) if i % 2 == 0]
    odd = [thread_id for i, thread_id in enumerate(every) if i % 2 or i % 15_000 == 0]
    pipe.sadd(keys.threads_with("a=1"), *even)
    pipe.sadd(keys.threads_with("b=1"), *odd)
    await pipe.execute()
    batches = [batch async for batch in search._walk(["a=1", "b=1"], None, "updated_at", True, at_once=11)]
    assert len(batches) >= 9  # each asks two sets about 5,000 threads
    assert [thread_id for batch in batches for thread_id, sure in batch if sure] == ["t30000", "t15000", "t00000"]
    assert await client.script("thread_count", status="", leaves=["a=1", "b=1"]) == -1
    assert await search.count(Filter(metadata={"a": 1, "b": 1})) == 3
    assert await search.count(Filter(metadata={"a": 1})) == len(even)


async def _all_pages(search: ThreadSearch, where: Filter, order: SortBy, descending: bool, limit: int) -> list[Thread]:
    found: list[Thread] = []
    offset: int | None = 0
    while offset is not None:
        one = await search.search(where, limit=limit, offset=offset, sort_by=order, descending=descending)
        assert one.total == offset + len(one.rows) + (one.next is not None)
        found += one.rows
        offset = one.next
        if limit < 7 and len(found) > 5:  # a few pages of one row show enough
            return (
                found
                + (await search.search(where, limit=1000, offset=len(found), sort_by=order, descending=descending)).rows
            )
    return found


def _sort_key(thread: Thread, order: SortBy) -> str:
    return str(getattr(thread, order))


async def _set_status(client: Client, thread_id: str, status: str) -> None:
    """As a run's end does it."""
    key = client.keys.thread(thread_id)
    was = await redis(client).hget(key, "shown")
    assert was is not None
    await redis(client).srem(client.keys.threads_with_status(was.decode()), thread_id)
    await redis(client).sadd(client.keys.threads_with_status(status), thread_id)
    await redis(client).hset(key, "shown", status)
