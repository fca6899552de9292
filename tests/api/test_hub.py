"""The hub: every watcher gets every entry behind its place, in order, whatever happens to connections and bells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.events.log import PAGE_BYTES, EventLog
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_api import hub as hub_module
from lineshaft_api.hub import Hub, Watcher
from tests.shared.runs import Desk
from tests.shared.until import until

from .gateway import Attempt


@pytest.fixture
def no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives was rung for."""
    monkeypatch.setattr(hub_module, "_SWEEP_SECONDS", 3600)


@pytest.fixture
async def hub(client: Client) -> AsyncIterator[Hub]:
    hub = Hub(client)
    running = asyncio.create_task(hub.run())
    await until(lambda: hub._pubsub is not None, "the hub hears")
    yield hub
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def run(client: Client) -> AsyncIterator[Attempt]:
    desk = Desk(client)
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    yield Attempt(desk, run, token, thread)
    await desk.leave()


async def numbers(watcher: Watcher, count: int) -> list[int]:
    """The data of the next `count` entries that are no metadata."""
    found: list[int] = []
    while len(found) < count:
        page = await watcher.next(10)
        assert page, f"silence after {found}"
        found += [int(entry.data) for entry in page if entry.event == "values"]
    return found


async def listeners(client: Client, thread: str) -> int:
    answer = await client.command("PUBSUB", "NUMSUB", client.keys.thread_bell(thread))
    return int(answer[1])


@pytest.mark.usefixtures("no_sweep")
async def test_watchers_of_a_thread_get_the_same(hub: Hub, run: Attempt) -> None:
    async with hub.watch(run.thread, "0-0") as one, hub.watch(run.thread, "0-0") as other:
        reading = [asyncio.create_task(numbers(watcher, 100)) for watcher in (one, other)]
        for n in range(100):
            await run.emit("values", n)
        assert await reading[0] == await reading[1] == list(range(100))


@pytest.mark.usefixtures("no_sweep")
async def test_a_late_watcher_catches_up(hub: Hub, run: Attempt) -> None:
    async with hub.watch(run.thread, "0-0") as early:
        await run.emit("values", 0, 1)
        assert await numbers(early, 2) == [0, 1]
        async with hub.watch(run.thread, "0-0") as late:
            await run.emit("values", 2)
            assert await numbers(late, 3) == [0, 1, 2]
            await run.emit("values", 3)
            assert await numbers(late, 1) == [3]
            assert await numbers(early, 2) == [2, 3]


@pytest.mark.usefixtures("no_sweep")
async def test_a_watcher_from_now_on_sees_nothing_older(hub: Hub, run: Attempt) -> None:
    await run.emit("values", 0)
    now = await run.desk.runs.position(run.thread)
    async with hub.watch(run.thread, "0-0") as early, hub.watch(run.thread, now) as late:
        await run.emit("values", 1)
        assert await numbers(late, 1) == [1]
        assert await numbers(early, 2) == [0, 1]


@pytest.mark.usefixtures("no_sweep")
async def test_a_long_log_is_read_page_by_page(hub: Hub, run: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_PAGE", 7)
    await run.emit("values", *range(50))
    async with hub.watch(run.thread, "0-0") as first:
        assert await numbers(first, 50) == list(range(50))
        async with hub.watch(run.thread, "0-0") as second:
            assert await numbers(second, 50) == list(range(50))


@pytest.mark.usefixtures("no_sweep")
async def test_a_slow_watcher_loses_nothing(hub: Hub, run: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_QUEUE_ENTRIES", 10)
    async with hub.watch(run.thread, "0-0") as slow, hub.watch(run.thread, "0-0") as quick:
        for n in range(0, 60, 3):
            await run.emit("values", n, n + 1, n + 2)
            assert await numbers(quick, 3) == [n, n + 1, n + 2]
        assert len(slow._queue) <= 10
        assert slow._behind
        assert await numbers(slow, 60) == list(range(60))
        await run.emit("values", 60)
        assert await numbers(slow, 1) == [60]


async def test_silence_is_an_empty_page(hub: Hub, run: Attempt) -> None:
    async with hub.watch(run.thread, await run.desk.runs.position(run.thread)) as watcher:
        assert await watcher.next(0.05) == []
        assert await watcher.next(0) == []


async def test_an_event_whose_bell_was_lost_is_found(hub: Hub, run: Attempt, client: Client) -> None:
    async with hub.watch(run.thread, "0-0") as watcher:
        await until(lambda: not hub._dirty and bool(watcher._queue), "the first read")
        key = client.keys.thread_events(run.thread)
        # As when the bell rings while the connection is down.
        await client.command("XADD", key, "*", "r", run.run, "a", 1, "e", "values", "s", 9, "d", "7")
        assert await numbers(watcher, 1) == [7]


@pytest.mark.usefixtures("no_sweep")
async def test_bells_are_heard_again_after_the_connection_was_lost(hub: Hub, run: Attempt, client: Client) -> None:
    async with hub.watch(run.thread, "0-0") as watcher:
        await until(lambda: _is(listeners(client, run.thread), 1), "the thread is watched")
        assert await client.command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        await run.emit("values", 0)  # perhaps unheard: the new subscription finds it
        assert await numbers(watcher, 1) == [0]
        async with hub.watch(run.thread, "0-0"):
            await run.emit("values", 1)
            assert await numbers(watcher, 1) == [1]


@pytest.mark.usefixtures("no_sweep")
async def test_who_comes_while_the_connection_is_lost_hears_too(hub: Hub, run: Attempt, client: Client) -> None:
    assert await client.command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    await until(lambda: hub._pubsub is None, "the hub has noticed")
    async with hub.watch(run.thread, "0-0") as watcher:
        await run.emit("values", 0)
        assert await numbers(watcher, 1) == [0]


@pytest.mark.usefixtures("no_sweep")
async def test_a_thread_that_nobody_watches_costs_nothing(hub: Hub, run: Attempt, client: Client) -> None:
    for _ in range(3):
        async with hub.watch(run.thread, "0-0"):
            await until(lambda: _is(listeners(client, run.thread), 1), "subscribed")
        await until(lambda: _is(listeners(client, run.thread), 0), "unsubscribed")
    assert not (hub._watchers or hub._places or hub._dirty)


@pytest.mark.usefixtures("no_sweep")
async def test_a_thread_watched_again_at_once_is_still_heard(hub: Hub, run: Attempt) -> None:
    for n in range(20):
        position = await run.desk.runs.position(run.thread)
        async with hub.watch(run.thread, position) as watcher:
            await run.emit("values", n)
            assert await numbers(watcher, 1) == [n]


@pytest.mark.usefixtures("no_sweep")
async def test_a_read_for_who_left_does_not_move_who_came(
    hub: Hub, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last watcher leaves, and another comes from an older place, while the hub reads."""
    await run.emit("values", 0, 1)
    place = await run.desk.runs.position(run.thread)
    old, new = contextlib.AsyncExitStack(), contextlib.AsyncExitStack()
    entered: list[Watcher] = []
    original = hub._log.read_many

    async def change_places(*args: Any) -> Any:
        found = await original(*args)
        if found and not entered:
            await old.aclose()
            entered.append(await new.enter_async_context(hub.watch(run.thread, "0-0")))
        return found

    monkeypatch.setattr(hub._log, "read_many", change_places)
    await old.enter_async_context(hub.watch(run.thread, place))
    await run.emit("values", 2)
    await until(lambda: bool(entered), "they have changed places")
    assert await numbers(entered[0], 3) == [0, 1, 2]
    await new.aclose()


async def test_a_read_that_fails_is_read_again(hub: Hub, run: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    original = hub._log.read_many
    failed: list[bool] = []

    async def fail_once(*args: Any) -> Any:
        if not failed:
            failed.append(True)
            raise OSError("no route")
        return await original(*args)

    monkeypatch.setattr(hub._log, "read_many", fail_once)
    async with hub.watch(run.thread, "0-0") as watcher:
        await run.emit("values", 0)
        assert await numbers(watcher, 1) == [0]


async def _is(counting: Any, count: int) -> bool:
    return bool(await counting == count)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancel_counts_whenever_a_bell_rings(client: Client, turns: int) -> None:
    """A stream whose client went in the same moment as an event came would be kept up for its next silence."""
    watcher = Watcher(EventLog(client), uuid7(), "0-0", behind=False)
    waiting = asyncio.create_task(watcher.next(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watcher.offer([])
    for _ in range(turns):
        await asyncio.sleep(0)  # a turn of the event loop: the bell gets further on its way to who waits
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_watcher_that_is_slow_holds_little(client: Client, run: Attempt) -> None:
    """What it does not take stays in Redis, and it gets all of it from there."""
    watcher = Watcher(EventLog(client), run.thread, "0-0", behind=False)
    text = "x" * 60_000
    for n in range(100):
        await run.emit("values", f"{n} {text}")
    place = "0-0"
    while page := await EventLog(client).read(run.thread, place):
        watcher.offer(page)
        place = page[-1].id
        assert sum(len(entry.data) for entry in watcher._queue) <= hub_module._QUEUE_BYTES

    found: list[int] = []
    while len(found) < 100:
        page = await watcher.next(10)
        assert sum(len(entry.data) for entry in page) < PAGE_BYTES + 2 * len(text)
        found += [int(entry.data.split()[0].strip(b'"')) for entry in page if entry.event == "values"]
    assert found == list(range(100))


@pytest.mark.usefixtures("no_sweep")
async def test_more_threads_than_one_read_asks_for(hub: Hub, run: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_THREADS", 2)
    threads = [await run.desk.open() for _ in range(5)]
    for thread in threads:
        await run.desk.create(thread)
    await run.desk.claim()
    async with contextlib.AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(hub.watch(thread, "0-0")) for thread in threads]
        hub._ring(*threads)
        for watcher in watchers:
            assert [entry.event for entry in await watcher.next(10)] == ["metadata"]
