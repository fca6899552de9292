"""The event log: what readers get, and what becomes of it with time and size."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.errors import NotFound
from lineshaft.events.log import GAP, Entry, EventLog, client_id, is_later, redis_id
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore

from .runs import Desk

LOG_BYTES = 64 * 1024 * 1024


class Writer:
    """A running run that appends to its thread's log."""

    def __init__(self, desk: Desk, thread: str, run: str, token: str) -> None:
        self.desk, self.thread, self.run, self.token = desk, thread, run, token
        self._batch = 0

    async def append(self, *data: str, event: str = "values", kind: str = "d") -> None:
        self._batch += 1
        entries = [part for one in data for part in (event, kind, one)]
        await self.desk.client.script(
            "run_append", run_id=self.run, token=self.token, batch=self._batch, entries=entries
        )


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


@pytest.fixture
async def writer(desk: Desk) -> Writer:
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    return Writer(desk, thread, run, token)


def shown(entries: list[Entry]) -> list[tuple[str, str]]:
    return [(entry.event, entry.data.decode()) for entry in entries]


def test_ids_rise_as_text_too() -> None:
    ids = [client_id(f"1795292900382-{n}") for n in (0, 9, 10, 99, 100, 9999)]
    assert ids == sorted(ids)
    assert [redis_id(i) for i in ids] == [f"1795292900382-{n}" for n in (0, 9, 10, 99, 100, 9999)]
    assert redis_id("0") == "0-0"


def test_the_mode_is_the_name_without_its_namespace() -> None:
    assert Entry("1-0001", "r", 1, "values|child:1|inner:2", b"{}", 1).mode == "values"
    assert Entry("1-0001", "r", 1, "messages/partial", b"{}", 1).mode == "messages/partial"


async def test_a_page_begins_behind_an_entry(client: Client, writer: Writer) -> None:
    log = EventLog(client)
    assert await log.read("unknown", "0-0") == []
    await writer.append("1", "2", "3")
    entries = await log.read(writer.thread, "0-0")
    assert shown(entries)[1:] == [("values", "1"), ("values", "2"), ("values", "3")]
    assert [entry.seq for entry in entries] == [1, 2, 3, 4]
    assert {(entry.run_id, entry.attempt) for entry in entries} == {(writer.run, 1)}
    assert await log.read(writer.thread, entries[1].id) == entries[2:]
    assert await log.read(writer.thread, entries[0].id, 2) == entries[1:3]
    assert await log.read(writer.thread, entries[-1].id) == []


async def test_several_threads_are_read_at_once(client: Client, desk: Desk, writer: Writer) -> None:
    other = await desk.open()
    await desk.create(other)
    ((run, token),) = await desk.claim()
    await Writer(desk, other, run, token).append("other")
    await writer.append("own")
    found = await EventLog(client).read_many({writer.thread: "0-0", other: "0-0", "unknown": "0-0"})
    assert {thread: shown(entries)[-1] for thread, entries in found.items()} == {
        writer.thread: ("values", "own"),
        other: ("values", "other"),
    }


async def test_ids_rise_when_the_clock_steps_back(client: Client, writer: Writer) -> None:
    later = 4_000_000_000_000
    await client.command("HSET", client.keys.thread(writer.thread), "log_ms", later, "log_n", 7)
    await writer.append("1", "2")
    assert [e.id for e in await EventLog(client).read(writer.thread, "0-0")][1:] == [f"{later}-0008", f"{later}-0009"]


async def test_ids_never_outgrow_their_digits(client: Client, writer: Writer) -> None:
    later = 4_000_000_000_000
    await client.command("HSET", client.keys.thread(writer.thread), "log_ms", later, "log_n", 9998)
    await writer.append("1", "2", "3")
    ids = [e.id for e in await EventLog(client).read(writer.thread, "0-0")][1:]
    assert ids == [f"{later}-9999", f"{later + 1}-0000", f"{later + 1}-0001"]


async def test_a_large_event_that_has_expired_is_a_gap(client: Client, writer: Writer) -> None:
    await writer.append("nowhere:5", kind="k")
    entry = (await EventLog(client).read(writer.thread, "0-0"))[-1]
    assert entry.event == GAP
    assert msgspec.json.decode(entry.data) == {"reason": "the event has expired", "event": "values"}


async def test_the_oldest_go_when_the_log_is_full(client: Client, writer: Writer) -> None:
    await client.command("RPUSH", client.keys.blob("old"), "x")
    await client.command("EXPIRE", client.keys.blob("old"), 60)
    await writer.append("old:1", kind="k")
    await writer.append("1" * 1000, "2" * 1000, "3" * 1000)
    await client.command("HSET", client.keys.thread(writer.thread), "log_bytes", LOG_BYTES)
    await writer.append("4" * 1500)
    gap, *left = await EventLog(client).read(writer.thread, "0-0")
    assert (gap.event, gap.run_id) == (GAP, "")
    assert [e.data[:1] for e in left] == [b"3", b"4"]
    assert await client.command("EXISTS", client.keys.blob("old")) == 0


async def test_what_expired_with_the_log_is_not_counted_any_more(client: Client, writer: Writer) -> None:
    await client.command("HSET", client.keys.thread(writer.thread), "log_bytes", LOG_BYTES)
    await client.command("DEL", client.keys.thread_events(writer.thread))
    await writer.append("1", "2")
    gap, *left = await EventLog(client).read(writer.thread, "0-0")
    assert gap.event == GAP
    assert shown(left) == [("values", "1"), ("values", "2")]
    assert int(await client.command("HGET", client.keys.thread(writer.thread), "log_bytes")) < 100


async def test_readers_of_a_log_that_has_expired_are_told(client: Client, desk: Desk, writer: Writer) -> None:
    log = EventLog(client)
    await writer.append("1", "2")
    await desk.finish(writer.run, writer.token)
    seen = await log.read(writer.thread, "0-0")
    await client.command("DEL", client.keys.thread_events(writer.thread))  # as Redis does when its time has come
    newest = seen[-1].id
    assert [(e.event, e.id) for e in await log.read(writer.thread, seen[1].id)] == [(GAP, newest)]
    assert await log.read(writer.thread, newest) == []
    # Also when a later run has begun another.
    await desk.create(writer.thread)
    ((run, token),) = await desk.claim()
    assert [e.event for e in await log.read(writer.thread, seen[1].id)] == [GAP, "metadata"]
    assert [e.event for e in await log.read(writer.thread, newest)] == ["metadata"]
    await desk.finish(run, token)


async def test_the_newest_entry(client: Client, desk: Desk, writer: Writer) -> None:
    log = EventLog(client)
    await writer.append("1")
    last = (await log.read(writer.thread, "0-0"))[-1].id
    assert client_id(await log.newest(writer.thread)) == last
    assert await log.newest(await desk.open()) == "0-0"
    with pytest.raises(NotFound):
        await log.newest("unknown")


async def test_the_log_outlives_its_last_run_for_a_while_and_the_next_run_lifts_that(
    client: Client, desk: Desk, writer: Writer
) -> None:
    key = client.keys.thread_events(writer.thread)
    assert await client.command("PTTL", key) == -1
    await desk.finish(writer.run, writer.token)
    assert 299_000 < await client.command("PTTL", key) <= 300_000
    await desk.create(writer.thread)
    await desk.claim()
    assert await client.command("PTTL", key) == -1


async def test_the_events_of_a_resumable_run_are_not_cut_short_by_a_later_run(
    client: Client, desk: Desk, writer: Writer
) -> None:
    await client.command("HSET", client.keys.run(writer.run), "events_ttl", 3_600_000)
    await desk.finish(writer.run, writer.token)
    await desk.create(writer.thread)
    ((run, token),) = await desk.claim()
    await desk.finish(run, token)
    assert await client.command("PTTL", client.keys.thread_events(writer.thread)) > 3_500_000


async def test_a_deleted_thread_has_no_log(client: Client, writer: Writer) -> None:
    await writer.append("1")
    await ThreadStore(client).delete(writer.thread)
    assert await EventLog(client).read(writer.thread, "0-0") == []
    writer.desk.forget(writer.thread)


async def test_a_large_event_dies_with_the_events_of_its_run(client: Client, desk: Desk, writer: Writer) -> None:
    await client.command("RPUSH", client.keys.blob("big"), "x")
    await client.command("EXPIRE", client.keys.blob("big"), 100_000)
    await writer.append("big:1", kind="k")
    await desk.finish(writer.run, writer.token)
    assert 0 < await client.command("TTL", client.keys.blob("big")) <= 300


async def test_what_is_past_its_time_is_dropped_when_a_later_run_ends_and_readers_from_before_are_told(
    client: Client, desk: Desk, writer: Writer
) -> None:
    await writer.append("1", "2")
    await desk.finish(writer.run, writer.token)
    # An hour goes by: the entries, and the thread's last id, are an hour old.
    key, thread = client.keys.thread_events(writer.thread), client.keys.thread(writer.thread)
    rows = await client.command("XRANGE", key, "-", "+")
    await client.command("DEL", key)
    for entry, fields in rows:
        ms, _, n = entry.decode().partition("-")
        await client.command("XADD", key, f"{int(ms) - 3_600_000}-{n}", *fields)
    run = await desk.create(writer.thread)
    ((_, token),) = await desk.claim()
    assert len(await EventLog(client).read(writer.thread, "0-0")) == len(rows) + 1
    await desk.finish(run, token)
    gap, *left = await EventLog(client).read(writer.thread, "0-0")
    assert gap.event == GAP
    assert [entry.run_id for entry in left] == [run, run]
    assert await client.command("HGET", thread, "log_trimmed") is not None
    # Who watches this run from its beginning has lost nothing.
    record = await desk.runs.record(writer.thread, run)
    assert is_later(record.first, gap.id)
