"""The store of threads: records, concurrent changes, and what deleting removes."""

import asyncio
import uuid
from typing import Any

import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.errors import Conflict, Invalid, NotFound, TooLarge
from lineshaft.redis.client import Client
from lineshaft.redis.script import Script
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import RunStore
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.thread import ThreadStore
from lineshaft.threads.ttl import Ttl


def redis(client: Client) -> Any:
    return client.redis  # redis-py's annotations say of every command that it may also not be awaitable


@pytest.fixture
def threads(client: Client) -> ThreadStore:
    return ThreadStore(client)


async def test_a_new_thread_is_idle_and_empty(threads: ThreadStore) -> None:
    thread = await threads.create(metadata={"a": [], "n": 2**60 + 1})
    assert uuid.UUID(thread.thread_id).version == 7
    assert thread.created_at == thread.updated_at == thread.state_updated_at
    assert thread.status == "idle"
    assert (await threads.get(thread.thread_id)) == thread
    assert thread.metadata == {"a": [], "n": 2**60 + 1}


async def test_an_id_is_used_once(threads: ThreadStore) -> None:
    thread_id = str(uuid.uuid4())
    first = await threads.create(thread_id, {"a": 1})
    with pytest.raises(Conflict):
        await threads.create(thread_id)
    assert await threads.create(thread_id, {"b": 1}, if_exists="do_nothing") == first


async def test_creating_again_after_a_lost_answer_is_no_conflict(client: Client) -> None:
    args = {
        "thread_id": str(uuid.uuid4()), "metadata": "{}", "leaves": "", "graph_id": "", "ttl_minutes": "",
        "ttl_strategy": "", "if_exists": "raise", "nonce": "n1",
    }  # fmt: skip
    assert await client.script("thread_create", **args) > 0
    assert await client.script("thread_create", **args) == -1
    assert await client.script("thread_create", **{**args, "if_exists": "do_nothing"}) == -1
    assert await client.script("thread_create", **{**args, "nonce": "n2", "if_exists": "do_nothing"}) == 0
    with pytest.raises(Conflict):
        await client.script("thread_create", **{**args, "nonce": "n2"})


async def test_of_many_creators_one_wins(threads: ThreadStore) -> None:
    thread_id = str(uuid.uuid4())
    made = await asyncio.gather(*(threads.create(thread_id, {"i": i}) for i in range(20)), return_exceptions=True)
    assert sum(not isinstance(one, Conflict) for one in made) == 1


async def test_reserved_names_and_nul_are_not_stored(threads: ThreadStore) -> None:
    sent = {"thread_id": 1, "run_id": 1, "cron_id": 1, "assistant_id": 1, "k\0": ["\0", {"x": "a\0b"}], "s": "\\u0000"}
    thread = await threads.create(metadata=sent)
    assert thread.metadata == {"k\ufffd": ["\ufffd", {"x": "a\ufffdb"}], "s": "\\u0000"}
    with pytest.raises(Invalid):
        await threads.create(metadata={"graph_id": 1})


async def test_a_patch_merges_key_by_key(threads: ThreadStore) -> None:
    thread = await threads.create(metadata={"a": {"x": 1}, "b": 1})
    patched = await threads.patch(thread.thread_id, {"a": {"y": 1}, "c": None, "run_id": "x"})
    assert patched.metadata == {"a": {"y": 1}, "b": 1, "c": None}
    assert patched.updated_at > thread.updated_at
    assert patched.state_updated_at == thread.state_updated_at
    assert patched.created_at == thread.created_at
    assert (await threads.patch(thread.thread_id)).updated_at > patched.updated_at
    with pytest.raises(NotFound):
        await threads.patch(str(uuid.uuid4()), {})


async def test_concurrent_patches_lose_nothing(threads: ThreadStore) -> None:
    thread_id = (await threads.create()).thread_id
    await asyncio.gather(*(threads.patch(thread_id, {f"k{i}": i}) for i in range(12)))
    assert (await threads.get(thread_id)).metadata == {f"k{i}": i for i in range(12)}


async def test_graph_id_of_metadata_names_the_graph(client: Client, threads: ThreadStore) -> None:
    thread_id = (await threads.create(metadata={"graph_id": "one"})).thread_id
    assert await redis(client).hget(client.keys.thread(thread_id), "graph_id") == b"one"
    assert (await threads.patch(thread_id, {"graph_id": "two"})).metadata == {"graph_id": "two"}
    assert await redis(client).smembers(client.keys.threads_with('graph_id="one"')) == set()
    assert await redis(client).smembers(client.keys.threads_with('graph_id="two"')) == {thread_id.encode()}


async def test_what_a_run_left_is_shown(client: Client, threads: ThreadStore) -> None:
    thread_id = (await threads.create(metadata={"a": 1})).thread_id
    await redis(client).hset(
        client.keys.thread(thread_id),
        mapping={"graph_id": "g", "assistant_id": "x", "run_config": '{"tags": ["t"]}'},
    )
    await redis(client).hset(
        client.keys.thread_snapshot(thread_id),
        mapping={"rev": 1, "state": '{"values": {"n": 1}, "next": []}', "interrupts": '{"t": []}', "error": '{"e": 1}'},
    )
    thread = await threads.get(thread_id)
    assert thread.metadata == {"a": 1, "graph_id": "g", "assistant_id": "x"}
    assert thread.config == {"tags": ["t"], "configurable": {}}
    shown = [bytes(part) for part in (thread.values, thread.interrupts, thread.error)]  # type: ignore[arg-type]
    assert shown == [b'{"n": 1}', b'{"t": []}', b'{"e": 1}']
    # A later patch does not store what the run added.
    await threads.patch(thread_id, {"b": 1})
    assert await redis(client).hget(client.keys.thread(thread_id), "metadata") == b'{"a":1,"b":1}'


async def test_a_ttl_is_kept(client: Client, threads: ThreadStore) -> None:
    thread_id = (await threads.create(ttl=Ttl(ttl=1.5))).thread_id
    fields = ["ttl_minutes", "ttl_strategy"]
    assert await redis(client).hmget(client.keys.thread(thread_id), fields) == [b"1.5", b"delete"]
    await threads.patch(thread_id, ttl=Ttl(ttl=60, strategy="keep_latest"))
    assert await redis(client).hmget(client.keys.thread(thread_id), fields) == [b"60", b"keep_latest"]


async def test_status_follows_active_and_waiting_runs(client: Client, threads: ThreadStore) -> None:
    thread_id = (await threads.create()).thread_id
    key, waiting = client.keys.thread(thread_id), client.keys.thread_waiting(thread_id)

    async def shown() -> str:
        await call_index(client, "set_thread_status(thread_id)", thread_id)
        status = (await threads.get(thread_id)).status
        for other in ("idle", "busy", "interrupted", "error"):
            is_member = await redis(client).sismember(client.keys.threads_with_status(other), thread_id)
            assert is_member == (other == status)
        return status

    assert await shown() == "idle"
    await redis(client).zadd(waiting, {"r1": 1})
    assert await shown() == "busy"
    await redis(client).delete(waiting)
    await redis(client).hset(key, "active", "r1")
    assert await shown() == "busy"
    await redis(client).hdel(key, "active")
    await redis(client).hset(key, "status", "interrupted")
    assert await shown() == "interrupted"


async def test_a_temporary_thread_is_in_no_index(client: Client) -> None:
    thread_id = str(uuid.uuid4())
    await call_index(
        client, "create_thread(thread_id, now, '{}', 'a=1', 'g', true) touch_thread(thread_id, now)", thread_id
    )
    # Its own, from which the reconciler tells what became of it, is none that a client could look into.
    kept = {client.keys.thread(thread_id).encode(), client.keys.threads_temporary().encode()}
    assert set(await redis(client).keys("*")) == kept


async def test_deleting_leaves_nothing(client: Client, threads: ThreadStore) -> None:
    other = await threads.create(metadata={"a": 1})
    before = await lasting(client)
    thread_id = (await threads.create(metadata={"a": 1, "b": {"c": 2}, "graph_id": "g"})).thread_id
    await threads.patch(thread_id, {"d": "e"})
    ids = [f"{thread_id}-{i}" for i in range(250)]
    await _add_runs(client, thread_id, ids)
    keys = client.keys
    held, queued = ids[3], ids[4]
    await redis(client).hset(keys.thread(thread_id), mapping={"active": held, "queued": queued})
    await redis(client).hset(keys.run(held), "worker", "w1")
    await redis(client).sadd(keys.worker_runs("w1"), held)
    await redis(client).set(keys.in_progress(held), "1")
    for plain in (keys.thread_inbox(thread_id), keys.thread_held(thread_id)):
        await redis(client).rpush(plain, "{}")
    await redis(client).xadd(keys.thread_events(thread_id), {"r": "x"})
    await redis(client).hset(keys.thread_snapshot(thread_id), "rev", 1)
    await redis(client).hset(keys.thread_answer(thread_id), "q", "a")

    listener = client.blocking()
    pubsub = listener.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(keys.worker_channel("w1"))
    await pubsub.get_message(timeout=5)
    await threads.delete(thread_id)
    while (told := await pubsub.get_message(timeout=5)) is None:
        pass
    assert told["data"] == held.encode()
    await pubsub.aclose()
    await listener.aclose(close_connection_pool=True)

    assert await lasting(client) == before
    assert (await threads.get(other.thread_id)) == other
    with pytest.raises(NotFound):
        await threads.delete(thread_id)
    assert (await threads.create(thread_id)).metadata == {}


async def test_deleting_with_a_queued_run(client: Client, threads: ThreadStore) -> None:
    await AssistantStore(client).ensure_system("g", "g", None)
    thread_id = (await threads.create(metadata={"graph_id": "other"})).thread_id
    runs = [(await RunStore(client).create(thread_id, RunCreate(assistant_id="g"))).run.run_id for _ in range(3)]
    thread = await threads.get(thread_id)
    assert (thread.status, thread.metadata["graph_id"]) == ("busy", "g")
    (found,) = (await ThreadSearch(client).search(Filter(metadata=thread.metadata, status="busy"))).rows
    assert found == thread
    await threads.delete(thread_id)
    for key in await lasting(client):
        assert not any(text in key.decode() for text in [thread_id, *runs])
    assert await redis(client).exists(client.keys.queue("runs")) == 0
    assert (await ThreadSearch(client).search(Filter())).rows == []
    await redis(client).delete(client.keys.wake("runs"))  # no worker is here to take the token


async def test_deleting_while_the_state_is_being_changed(client: Client, threads: ThreadStore) -> None:
    thread_id = (await threads.create()).thread_id
    await client.script("worker_renew", worker="w", begin=True, lease=60_000, max_crashes=3, info=["host", "h"])
    await redis(client).set(client.keys.query("q"), "x", ex=60)
    others = {key for key in await lasting(client) if b"ls:thread" not in key}
    await client.script("state_lock", lock_id="lock", thread_id=thread_id, worker="w", query_id="q")
    assert (await threads.get(thread_id)).status == "busy"
    await threads.delete(thread_id)
    assert await lasting(client) == others
    await client.script("worker_release", worker="w", crashed=False, max_crashes=3)


async def test_a_thread_that_is_being_deleted_keeps_its_order(client: Client, threads: ThreadStore) -> None:
    """Between two slices the active run and the queue's entry are still there: a gateway may die at that point."""
    thread_id = (await threads.create()).thread_id
    ids = [f"run-{i:03}" for i in range(40)]
    await _add_runs(client, thread_id, ids)
    await redis(client).hset(client.keys.thread(thread_id), mapping={"active": ids[0], "queued": ids[1]})
    assert await client.script("thread_delete", thread_id=thread_id, limit=10, request="q") == 1
    left = [i.decode() for i in await redis(client).zrange(client.keys.thread_runs(thread_id), 0, -1)]
    assert left[:2] == ids[:2]
    assert len(left) == 30
    await threads.delete(thread_id)
    assert await lasting(client) == set()


async def lasting(client: Client) -> set[bytes]:
    """All keys but those that remember for a moment how a call was answered."""
    return set(await redis(client).keys("*")) - set(await redis(client).keys(client.keys.answered("*")))


async def _add_runs(client: Client, thread_id: str, ids: list[str]) -> None:
    """Runs as the enqueue script leaves them."""
    keys = client.keys
    pipe = redis(client).pipeline()
    for i, run_id in enumerate(ids):
        pipe.hset(keys.run(run_id), mapping={"thread": thread_id, "queue": "runs", "status": "pending"})
        pipe.rpush(keys.run_input(run_id), "{}")
        pipe.sadd(keys.run_checkpoints(run_id), "x")
        pipe.set(keys.job(run_id), "x")
        pipe.zadd(keys.queue("runs"), {run_id: i})
        pipe.zadd(keys.thread_waiting(thread_id), {run_id: i})
        pipe.zadd(keys.thread_runs(thread_id), {run_id: i})
    await pipe.execute()


async def call_index(client: Client, lua: str, thread_id: str) -> None:
    """Run a line of Lua on top of the index library, as the scripts of runs do."""
    script = Script("thread_create", client.keys)  # it uses the libraries that are called here
    libraries = script.source[: script.source.index("local thread_id = ARGV[1]")]
    await redis(client).eval(f"{libraries}\nlocal thread_id = ARGV[1]\n{lua}", 0, thread_id)


async def test_metadata_have_a_limit(threads: ThreadStore) -> None:
    with pytest.raises(TooLarge, match="limit: 163840"):
        await threads.create(metadata={"a": "x" * 1024 * 1024})
