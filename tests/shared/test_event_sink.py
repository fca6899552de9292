"""Where runs put their events: few appends, in order, nothing twice, nothing lost, nothing of a run that is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from lineshaft.errors import Fenced
from lineshaft.events import sink as event_sink
from lineshaft.events.log import GAP, Entry
from lineshaft.events.sink import EventSink
from lineshaft.redis.client import Client

from .runs import Desk
from .until import until
from .whole_log import whole_log

Append = Callable[..., Awaitable[Any]]


class Held:
    """A claimed run and its sink; counts the appends."""

    def __init__(self, desk: Desk, thread: str, run: str, token: str) -> None:
        self.desk, self.thread, self.run, self.token = desk, thread, run, token
        self.client = desk.client
        self.sink = EventSink(desk.client, run, token)
        self.appends: list[int] = []
        self._after = desk.client.after
        desk.client.after = self._count  # type: ignore[method-assign]  # passes on what it counts

    async def _count(self, commands: list[tuple[Any, ...]], name: str, **args: Any) -> Any:
        self.appends.append(len(args["entries"]) // 3)
        return await self._after(commands, name, **args)

    async def log(self) -> list[Entry]:
        """What is in the log behind the claim's `metadata`."""
        return (await whole_log(self.client, self.thread))[1:]

    async def lose(self) -> None:
        """Another worker gets the run."""
        await self.client.script("run_hand_back", run_id=self.run, token=self.token)


@pytest.fixture
async def held(client: Client) -> AsyncIterator[Held]:
    desk = Desk(client)
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    held = Held(desk, thread, run, token)
    yield held
    client.after = held._after  # type: ignore[method-assign]
    await desk.leave()


@pytest.fixture
def never_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Appends happen for fullness only."""
    monkeypatch.setattr(event_sink, "_FIRST_DELAY", 3600)
    monkeypatch.setattr(event_sink, "_DELAY", 3600)


@pytest.fixture
async def paused(client: Client) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Redis takes no writes until the given function is called."""
    await client.redis.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")

    async def go_on() -> None:
        # Not through `command`, which would queue up behind the write that waits.
        await client.redis.execute_command("CLIENT", "UNPAUSE")

    yield go_on
    await go_on()


async def test_the_first_event_is_in_the_log_at_once(held: Held) -> None:
    await held.sink.put("values", b"1")
    await until(lambda: held.appends == [1], "an append")
    await until(lambda: held.sink._flusher is None, "the sink is at rest")
    assert [(e.event, e.data, e.attempt) for e in await held.log()] == [("values", b"1", 1)]
    # After a silence the next event is again appended at once.
    await held.sink.put("values", b"2")
    await until(lambda: held.appends == [1, 1], "another append")
    assert await held.sink.close() == []


@pytest.mark.usefixtures("never_by_time")
async def test_what_is_left_travels_with_the_end(held: Held) -> None:
    for n in range(3):
        await held.sink.put("values", b"%d" % n)
    assert await held.sink.close() == ["values", "d", b"0", "values", "d", b"1", "values", "d", b"2"]
    assert held.appends == []
    assert await held.log() == []


@pytest.mark.usefixtures("never_by_time")
@pytest.mark.parametrize(("count", "size"), [(32, 1), (4, 16 * 1024)])
async def test_many_or_much_is_appended_without_delay(held: Held, count: int, size: int) -> None:
    for n in range(count - 1):
        await held.sink.put("values", b"%d" % (n % 10) * size)
    assert held.sink._flusher is not None and not held.sink._full.is_set()
    await held.sink.put("values", b"x" * size)
    await until(lambda: held.appends == [count], "one append with all of them")
    assert await held.sink.close() == []
    assert len(await held.log()) == count


async def test_tokens_travel_together_and_in_order(held: Held) -> None:
    for n in range(1000):
        await held.sink.put("values", b"%d" % n)
        await asyncio.sleep(0)  # as a graph that yields between tokens
    rest = await held.sink.close()
    data = [e.data for e in await held.log()] + rest[2::3]
    assert data == [b"%d" % n for n in range(1000)]
    assert sum(held.appends) + len(rest) // 3 == 1000
    assert len(held.appends) <= 40


@pytest.mark.parametrize(("size", "most"), [(64 * 1024, 6), (1, 1100)])
async def test_a_run_waits_for_a_redis_that_is_away(
    held: Held, paused: Callable[[], Awaitable[Any]], size: int, most: int
) -> None:
    done = 0

    async def put_many() -> None:
        nonlocal done
        for n in range(1200):
            await held.sink.put("values", b"%d" % (n % 10) * size)
            done += 1
            await asyncio.sleep(0)
            if done == 2 * most:
                break

    putting = asyncio.create_task(put_many())
    await until(lambda: not held.sink._space.is_set(), "the buffer is full")
    assert not (await asyncio.wait({putting}, timeout=0.05))[0]
    assert done <= most
    await paused()
    await putting
    rest = await held.sink.close()
    data = [e.data for e in await held.log()] + rest[2::3]
    assert data == [b"%d" % (n % 10) * size for n in range(done)]


async def test_a_put_that_waits_can_be_cancelled(held: Held, paused: Callable[[], Awaitable[Any]]) -> None:
    async def put_for_ever() -> None:
        while True:
            await held.sink.put("values", b"x" * 64 * 1024)
            await asyncio.sleep(0)

    putting = asyncio.create_task(put_for_ever())
    await until(lambda: not held.sink._space.is_set(), "the buffer is full")
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await paused()
    await held.sink.close()


@pytest.mark.parametrize(("size", "slices"), [(256 * 1024 + 1, 1), (3 * 1024 * 1024 + 5, 4)])
async def test_a_large_event_is_kept_beside_the_log(held: Held, size: int, slices: int) -> None:
    await held.sink.put("updates", b"u")
    await held.sink.put("values", b"x" * size)
    await until(lambda: bool(held.appends), "an append")
    assert await held.sink.close() == []
    assert [(e.event, len(e.data)) for e in await held.log()] == [("updates", 1), ("values", size)]
    rows = await held.client.command("XRANGE", held.client.keys.thread_events(held.thread), "-", "+")
    fields = rows[-1][1]
    blob_id, _, counted = fields[fields.index(b"k") + 1].decode().partition(":")
    assert int(counted) == size
    key = held.client.keys.blob(blob_id)
    assert await held.client.command("LLEN", key) == slices
    assert await held.client.command("TTL", key) > 0


@pytest.mark.usefixtures("never_by_time")
async def test_a_large_event_is_appended_before_the_end_and_not_with_it(held: Held) -> None:
    held.sink._buffer.append(("values", b"x" * 300_000))
    held.sink._bytes += 300_000
    await held.sink.put("values", b"small")
    assert await held.sink.close() == []
    assert [len(e.data) for e in await held.log()] == [300_000, 5]


async def test_an_event_beyond_the_limit_leaves_a_gap_that_says_so(held: Held) -> None:
    size = 16 * 1024 * 1024 + 1
    await held.sink.put("values", b"x" * size)
    await held.sink.put("values", b"small")
    rest = await held.sink.close()
    assert rest[0] == GAP and rest[3:] == ["values", "d", b"small"]
    assert msgspec.json.decode(rest[2]) == {"reason": "the event is too large", "event": "values", "bytes": size}


async def test_a_lost_run_hears_so_at_its_next_event(held: Held) -> None:
    await held.lose()
    await held.sink.put("values", b"1")
    await until(lambda: held.sink._flusher is not None and held.sink._flusher.done(), "the append is refused")
    for _ in range(2):
        with pytest.raises(Fenced):
            await held.sink.put("values", b"1")
    assert await held.sink.close() == []
    assert await held.log() == []


async def test_a_lost_run_hears_so_while_it_waits(held: Held, client: Client) -> None:
    await held.lose()
    await client.redis.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")

    async def put_for_ever() -> None:
        while True:
            await held.sink.put("values", b"x" * 64 * 1024)
            await asyncio.sleep(0)

    putting = asyncio.create_task(put_for_ever())
    try:
        await until(lambda: not held.sink._space.is_set(), "the buffer is full")
    finally:
        await client.redis.execute_command("CLIENT", "UNPAUSE")
    with pytest.raises(Fenced):
        await putting


@pytest.mark.usefixtures("never_by_time")
@pytest.mark.parametrize("size", [1, 300_000])
async def test_closing_the_sink_of_a_lost_run_is_quiet(held: Held, size: int) -> None:
    held.sink._buffer.append(("values", b"x" * size))
    held.sink._bytes += size
    await held.lose()
    rest = await held.sink.close()
    assert rest == ([] if size > 1 else ["values", "d", b"x"])
    assert await held.log() == []


@pytest.mark.usefixtures("never_by_time")
async def test_what_is_discarded_reaches_those_who_watch(held: Held) -> None:
    await held.sink.put("values", b"1")
    await held.sink.discard()
    assert [e.data for e in await held.log()] == [b"1"]


@pytest.mark.usefixtures("never_by_time")
async def test_discarding_for_a_lost_run_says_so(held: Held) -> None:
    await held.sink.put("values", b"1")
    await held.lose()
    with pytest.raises(Fenced):
        await held.sink.discard()


async def test_an_append_repeated_after_a_lost_answer_adds_nothing(held: Held) -> None:
    async def twice(commands: list[tuple[Any, ...]], name: str, **args: Any) -> Any:
        await held._after(commands, name, **args)
        return await held._after(commands, name, **args)

    held.client.after = twice  # type: ignore[method-assign]  # the same call sent again
    await held.sink.put("values", b"1")
    await held.sink.put("values", b"x" * 300_000)
    await until(lambda: held.sink._batch == 1 and not held.sink._buffer, "an append")
    await held.sink.discard()
    assert [len(e.data) for e in await held.log()] == [1, 300_000]


@pytest.mark.usefixtures("never_by_time")
async def test_no_append_is_of_very_many_events(held: Held) -> None:
    """A node that emits without a pause fills the buffer; appending all of that held Redis up for everybody."""
    for n in range(1_000):
        held.sink._buffer.append(("values", b"%d" % n))
        held.sink._bytes += len(b"%d" % n)
    await held.sink.put("values", b"1000")
    rest = await held.sink.close()
    assert held.appends and max(held.appends) <= 256
    assert len(rest) // 3 <= 256
    assert [int(e.data) for e in await held.log()] + [int(data) for data in rest[2::3]] == list(range(1_001))
