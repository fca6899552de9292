"""What the reconciler mends and removes. Each story damages what a script would never leave so, and looks again."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client
from lineshaft.store.items import ItemStore, Put
from lineshaft.threads.thread import ThreadStore
from lineshaft.threads.ttl import Ttl

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    # Whatever was mended, another look finds nothing.
    assert await Reconciler(client, "last").turn() == Counter()
    await desk.leave()


@pytest.fixture
def reconciler(client: Client) -> Reconciler:
    return Reconciler(client, "one")


async def mended(desk: Desk, reconciler: Reconciler, *kinds: str) -> None:
    """One turn finds exactly this, and counts it."""
    assert await reconciler.turn() == Counter(kinds)
    counted = await desk.client.command("HMGET", desk.client.keys.repairs(), *set(kinds))
    assert [int(count) for count in counted] == [Counter(kinds)[kind] for kind in set(kinds)]


async def runs_to_its_end(desk: Desk, *runs: str) -> None:
    for run in runs:
        ((claimed, token),) = await desk.claim()
        assert claimed == run
        assert await desk.finish(run, token) == "ok"


async def test_a_sound_fleet_needs_no_repair(desk: Desk, reconciler: Reconciler) -> None:
    """Runs that run, wait, are due later, have ended, were cancelled; a state change; a temporary thread."""
    threads = [await desk.open() for _ in range(5)]
    first = await desk.create(threads[0])
    second = await desk.create(threads[0])
    claimed = dict(await desk.claim())
    await desk.create(threads[1], after_seconds=3600)
    temporary = await desk.create(None)
    ended = await desk.create(threads[2])
    claimed |= dict(await desk.claim())
    await desk.finish(ended, claimed[ended])
    await desk.client.command("SET", desk.client.keys.query("q"), "?", "EX", 60)
    await desk.client.script("state_lock", lock_id="q", thread_id=threads[3], worker=desk.worker, query_id="q")
    assert await reconciler.turn() == Counter()
    await desk.finish(first, claimed[first])
    await desk.finish(temporary, claimed[temporary])
    await runs_to_its_end(desk, second)


async def test_a_pending_run_in_no_queue(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    keys = desk.client.keys
    await desk.client.commands(("ZREM", keys.queue("runs"), run), ("ZREM", keys.thread_waiting(thread), run))
    await desk.client.command("HDEL", keys.thread(thread), "queued")
    await mended(desk, reconciler, "pending run in no queue", "thread whose turn nobody would see")
    await runs_to_its_end(desk, run)


async def test_a_waiting_run_that_lost_its_turn(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    runs = [await desk.create(thread) for _ in range(2)]
    await desk.client.command("ZREM", desk.client.keys.queue("runs"), runs[0])
    await mended(desk, reconciler, "thread whose turn nobody would see")
    await runs_to_its_end(desk, *runs)


@pytest.mark.parametrize("what", ["gone", "over", "pending"])
async def test_a_thread_that_is_busy_without_a_run(desk: Desk, reconciler: Reconciler, what: str) -> None:
    thread = await desk.open()
    behind = None
    if what == "gone":
        await desk.client.command("HSET", desk.client.keys.thread(thread), "active", "nobody", "shown", "busy")
    else:
        run = await desk.create(thread)
        behind = await desk.create(thread)
        ((_, token),) = await desk.claim()
        if what == "over":
            await desk.finish(run, token)
        else:
            await desk.client.script("run_hand_back", run_id=run, token=token)
            await runs_to_its_end(desk, run)
        await desk.client.command("HSET", desk.client.keys.thread(thread), "active", run)
    found = await reconciler.turn()
    assert found["thread busy without a run"] == 1
    if behind:
        await runs_to_its_end(desk, behind)
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"


async def test_a_run_of_a_worker_that_nobody_knows(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await desk.lease("lost")
    ((_, token),) = await desk.claim(worker="lost")
    await desk.client.command("ZREM", desk.client.keys.workers(), "lost")
    await desk.client.command("DEL", desk.client.keys.worker_runs("lost"), desk.client.keys.worker("lost"))
    await mended(desk, reconciler, "run of a dead worker")
    assert await desk.field(run, "crashes") == "1"
    ((again, newer),) = await desk.claim()
    assert again == run and newer != token
    await desk.finish(run, newer)


async def test_a_run_that_its_worker_was_not_known_to_hold(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await desk.client.command("SREM", desk.client.keys.worker_runs(desk.worker), run)
    await mended(desk, reconciler, "run that its worker was not known to hold")
    await desk.finish(run, token)


async def test_a_running_run_that_its_thread_does_not_know(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await desk.claim()
    await desk.client.command("HDEL", desk.client.keys.thread(thread), "active")
    found = await reconciler.turn()
    assert found["running run without its thread"] == 1
    await runs_to_its_end(desk, run)


async def test_a_state_change_of_a_dead_worker(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    await desk.lease("lost")
    await desk.client.command("SET", desk.client.keys.query("q"), "?", "EX", 60)
    await desk.client.script("state_lock", lock_id="q", thread_id=thread, worker="lost", query_id="q")
    await desk.client.command("ZREM", desk.client.keys.workers(), "lost")
    await desk.client.command("DEL", desk.client.keys.worker("lost"))
    found = await reconciler.turn()
    assert found["state change of a dead worker"] == 1
    run = await desk.create(thread)
    await runs_to_its_end(desk, run)


async def test_queue_entries_of_runs_that_are_over_or_gone(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await runs_to_its_end(desk, run)
    # Hidden as a claimed run is: no claim would ever look at them.
    await desk.client.command("ZADD", desk.client.keys.queue("runs"), 9e14, run, 9e14, "unknown")
    await mended(desk, reconciler, *["queue entry of a run that is over"] * 2)


async def test_a_place_of_a_run_that_does_not_wait(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await runs_to_its_end(desk, run)
    await desk.client.command("ZADD", desk.client.keys.thread_waiting(thread), 1, run)
    await mended(desk, reconciler, "place of a run that does not wait")


@pytest.mark.parametrize(("status", "lost"), [("success", 1), ("error", 1), ("error", 2)])
async def test_a_stream_without_an_end(desk: Desk, reconciler: Reconciler, status: str, lost: int) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    error = b'"why"' if status == "error" else b""
    await desk.finish(run, token, status, error=error, entries=["error", "d", error] if error else [])
    whole, log = await desk.log(thread, run), desk.client.keys.thread_events(thread)
    rows = await desk.client.command("XREVRANGE", log, "+", "-", "COUNT", lost)
    await desk.client.commands(("XDEL", log, *(ident for ident, _ in rows)), ("PERSIST", log))
    await mended(desk, reconciler, "stream without an end", "stream that would stay for ever")
    assert await desk.log(thread, run) == whole
    assert await desk.client.command("TTL", log) > 0


async def test_a_status_that_is_wrong_or_not_in_the_index(desk: Desk, reconciler: Reconciler) -> None:
    wrong, missing = await desk.open(), await desk.open()
    await desk.client.command("HSET", desk.client.keys.thread(wrong), "shown", "busy")
    await desk.client.command("SREM", desk.client.keys.threads_with_status("idle"), missing)
    await mended(desk, reconciler, "status of a thread", "status of a thread")
    assert await desk.client.command("SCARD", desk.client.keys.threads_with_status("idle")) == 2


async def test_messages_that_nobody_held(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    await desk.client.command("RPUSH", desk.client.keys.thread_inbox(thread), "c")
    await desk.client.command("RPUSH", desk.client.keys.thread_held(thread), "a", "b")
    await mended(desk, reconciler, "messages that nobody held")
    assert await desk.client.command("LRANGE", desk.client.keys.thread_inbox(thread), 0, -1) == [b"a", b"b", b"c"]


async def test_an_orphaned_temporary_thread(desk: Desk, reconciler: Reconciler) -> None:
    await desk.open()
    run = await desk.create(None)
    thread = str(await desk.field(run, "thread"))
    keys = desk.client.keys
    await desk.client.commands(("DEL", keys.run(run)), ("DEL", keys.thread_waiting(thread)))
    found = await reconciler.turn()
    assert found["orphaned temporary thread"] == 1
    assert await desk.client.command("KEYS", f"*{thread}*") == []
    assert await desk.client.command("ZCARD", keys.threads_temporary()) == 0
    await desk.client.command("DEL", keys.job(run), keys.run_input(run))


async def test_an_index_of_a_thread_that_is_gone(desk: Desk, reconciler: Reconciler) -> None:
    await desk.client.command("ZADD", desk.client.keys.threads_by_id(), 0, "gone")
    await desk.client.command("SADD", desk.client.keys.threads_with_status("busy"), "gone")
    found = await reconciler.turn()
    assert found["index of a thread that is gone"] >= 1
    assert await desk.client.command("EXISTS", desk.client.keys.threads_with_status("busy")) == 0


async def test_a_thread_that_is_deleted_between_the_choice_and_the_look_is_no_finding(desk: Desk) -> None:
    assert await desk.client.script("repair_threads", max_crashes=3, thread_ids=["deleted"]) == []


async def test_threads_whose_time_is_over(desk: Desk, reconciler: Reconciler) -> None:
    await desk.open()
    threads = ThreadStore(desk.client)
    over, young, changed, busy = [(await threads.create(ttl=Ttl(ttl=10))).thread_id for _ in range(4)]
    for thread in (young, changed, busy):
        desk.adopt(thread)
    keys = desk.client.keys
    hour_ago = -3_600_000
    for thread in (over, busy):
        await desk.client.command("HINCRBY", keys.thread(thread), "updated", hour_ago)
    for thread in (over, changed, busy):
        await desk.client.command("ZINCRBY", keys.threads_by_expiry(), hour_ago, thread)
    run = await desk.create(busy)
    assert await reconciler.turn() == Counter({"expired thread": 1})
    assert not await threads.exists(over)
    assert all([await threads.exists(thread) for thread in (young, changed, busy)])
    await runs_to_its_end(desk, run)


async def test_a_thread_that_keeps_its_latest_state_only(desk: Desk, reconciler: Reconciler) -> None:
    thread = (await ThreadStore(desk.client).create(ttl=Ttl(ttl=10, strategy="keep_latest"))).thread_id
    desk.adopt(thread)
    keys = desk.client.keys
    for number in range(5):
        await desk.client.script(
            "checkpoint_put", run_id="", token="", owner="", thread_id=thread, ns="", checkpoint_id=f"c{number}",
            header=b"h", anatomy_text=f"c{number - 1}\1\1x\0{number}", values=[f"x\0{number}", "value"],
        )  # fmt: skip
    await desk.client.command("HINCRBY", keys.thread(thread), "updated", -3_600_000)
    await desk.client.command("ZINCRBY", keys.threads_by_expiry(), -3_600_000, thread)
    assert await reconciler.turn() == Counter({"pruned thread": 1})
    assert await desk.client.command("ZRANGE", keys.checkpoint_ids(thread, ""), 0, -1) == [b"c4"]
    assert await desk.client.command("HKEYS", keys.checkpoint_blobs(thread, "")) == [b"x\x004"]


async def test_values_that_no_checkpoint_names(desk: Desk, reconciler: Reconciler) -> None:
    thread = await desk.open()
    keys, put = desk.client.keys, "checkpoint_put"
    large = b"sx\0large"  # a reference to a large value, see lib/checkpoints.lua
    await desk.client.script("checkpoint_slice", thread_id=thread, value_id="large", number=0, slice=b"...")
    await desk.client.script(
        put, run_id="", token="", owner="", thread_id=thread, ns="", checkpoint_id="c1", header=b"h",
        anatomy_text="\1\1x\x001", values=["x\x001", "kept", "y\x001", large, "z\x001", "lost"],
    )  # fmt: skip
    await desk.client.command("SADD", keys.threads_with_garbage(), thread)
    assert await reconciler.turn() == Counter({"unreferenced value": 2})
    assert await desk.client.command("HKEYS", keys.checkpoint_blobs(thread, "")) == [b"x\x001"]
    assert not await desk.client.command("EXISTS", keys.checkpoint_large(thread, "large"))


async def test_items_and_dead_letters_whose_time_is_over(desk: Desk, reconciler: Reconciler) -> None:
    await ItemStore(desk.client).put([Put(("a",), str(n), b"{}", ttl=0) for n in range(3)])
    await desk.client.command("XADD", desk.client.keys.dead(), "1-1", "run", "old")
    await desk.client.command("XADD", desk.client.keys.dead(), "*", "run", "new")
    assert await reconciler.turn() == Counter({"expired item": 3, "old dead letter": 1})


async def test_one_of_a_fleet_has_the_office_until_it_falls_silent(desk: Desk) -> None:
    one, two = Reconciler(desk.client, "one"), Reconciler(desk.client, "two")
    assert [await one.is_elected(), await two.is_elected(), await one.is_elected()] == [True, False, True]
    assert await desk.client.command("TTL", desk.client.keys.reconciler()) > 0
    await desk.client.command("DEL", desk.client.keys.reconciler())
    assert [await two.is_elected(), await one.is_elected()] == [True, False]


async def test_a_turn_is_bounded_and_the_next_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineshaft.reconciler._PAGES", 1)
    # More than an index keeps as one small list, which is always read whole.
    threads = [await desk.open() for _ in range(300)]
    for thread in threads:
        await desk.client.command("HSET", desk.client.keys.thread(thread), "shown", "busy")
    reconciler = Reconciler(desk.client, "one")
    turns: list[int] = []
    while sum(turns) < len(threads):
        turns.append((await reconciler.turn()).total())
    assert len(turns) > 2 and max(turns) < 150
