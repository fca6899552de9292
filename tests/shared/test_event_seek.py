"""Where a reader goes on in a thread's log, by the number of the last entry that it has had."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.events.log import EventLog
from lineshaft.redis.client import Client

from .runs import Desk

Numbered = list[tuple[int, str]]


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def numbered(client: Client, thread: str) -> Numbered:
    """Numbers and ids of what is in the log."""
    rows = await client.command("XRANGE", client.keys.thread_events(thread), "-", "+")
    fields = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in rows]
    return [(int(entry[b"s"]), ident.decode()) for (ident, _), entry in zip(rows, fields, strict=True)]


async def write(desk: Desk, thread: str, *batches: int) -> None:
    """A run that appends batches of so many entries; those of a batch share a millisecond."""
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    for n, size in enumerate(batches, 1):
        entries = [part for i in range(size) for part in ("values", "d", str(i))]
        await desk.client.script("run_append", run_id=run, token=token, batch=n, entries=entries)
    await desk.finish(run, token)


@pytest.mark.parametrize("batches", [(1,), (40,), (1, 300, 7), (3, 1, 2, 5, 1, 1)])
async def test_it_finds_each_entry(desk: Desk, client: Client, batches: tuple[int, ...]) -> None:
    thread = await desk.open()
    await write(desk, thread, *batches)
    await write(desk, thread, 2)
    log = await numbered(client, thread)
    events = EventLog(client)
    assert [await events.seek(thread, number) for number, _ in log] == [(ident, len(log)) for _, ident in log]
    assert await events.seek(thread, 0) == ("0-0", len(log))


async def test_numbers_that_were_never_given_are_all_seen(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    assert await EventLog(client).seek(thread, 5) == ("0-0", 0)
    await write(desk, thread, 3)
    (*_, (last, ident)) = await numbered(client, thread)
    assert await EventLog(client).seek(thread, last + 7) == (ident, last)


async def test_what_is_lost_is_said(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    await write(desk, thread, 5)
    log, events = await numbered(client, thread), EventLog(client)
    await client.command("XDEL", client.keys.thread_events(thread), log[0][1], log[1][1])
    await client.command("HSET", client.keys.thread(thread), "log_trimmed", log[1][1])
    assert await events.seek(thread, 1) == ("0-0", len(log))
    assert (await events.read(thread, "0-0"))[0].event == "gap"
    # Who has had just what was trimmed has lost nothing.
    assert await events.seek(thread, 2) == (log[1][1], len(log))
    assert (await events.read(thread, log[1][1]))[0].event != "gap"
    await client.command("DEL", client.keys.thread_events(thread))
    assert await events.seek(thread, 3) == ("0-0", len(log))
    assert await events.seek(thread, len(log)) == (log[-1][1], len(log))


async def test_it_reads_next_to_nothing(desk: Desk, client: Client) -> None:
    """The whole log would block Redis, once for each client that comes back."""
    thread = await desk.open()
    await write(desk, thread, *[200] * 20)
    log = await numbered(client, thread)
    before = await client.redis.info("commandstats")
    await EventLog(client).seek(thread, len(log) // 2)
    after = await client.redis.info("commandstats")
    assert after["cmdstat_xrange"]["calls"] - before["cmdstat_xrange"]["calls"] < 64
