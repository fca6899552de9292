"""Follows a thread's event log: one run to its end, as streams, waits and joins do, or all runs while it exists."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from aiohttp import web

from lineshaft.errors import NotFound, Unavailable
from lineshaft.events.log import END, Entry, EventLog, is_later
from lineshaft.runs.run import RunStore

from .context import DRAINING, LEAVING
from .hub import Hub

HEARTBEAT_SECONDS = 5.0  # clients and proxies take a longer silence for a dead connection
_AWAY_SECONDS = 0.5  # on top of the client's own patience with a Redis that is away

Batches = AsyncGenerator[list[Entry], None]


async def follow(
    hub: Hub,
    runs: RunStore,
    thread_id: str,
    run_id: str,
    after: str,
    *,
    with_end: bool = False,
    from_past: bool = False,
) -> Batches:
    """The run's entries behind `after` in batches, until it ends; an empty batch after 5 seconds of silence.

    `from_past`: what is behind `after` may be gone already, and the reader is to be told.

    The end is the run's END entry (part of the batches only `with_end`). A reader that comes too late for it, since the
    log has been trimmed or has expired, finds the run's record ended or gone. While Redis is away there is silence:
    nobody needs to reconnect for that.
    """
    async with hub.watch(thread_id, after) as watcher:
        if from_past:
            watcher.look()  # only who reads the log himself is told
        silent_since = time.monotonic()
        over = False
        while True:
            # Other runs of the thread may be loud while this one is silent.
            left = 0 if over else silent_since + HEARTBEAT_SECONDS - time.monotonic()
            try:
                page = await watcher.next(left) if over or left > 0 else []
            except Unavailable:
                await asyncio.sleep(_AWAY_SECONDS)
                if over:
                    continue  # its last events are still to be read
                page = []
            own = [entry for entry in page if entry.run_id == run_id]
            if page and not page[0].run_id and await has_lost(runs, thread_id, run_id, page[0]):
                own.insert(0, page[0])
            if own and own[-1].event == END:
                if shown := own if with_end else own[:-1]:
                    yield shown
                return
            if own or not (page or over):
                yield own
                silent_since = time.monotonic()
            if over and not page:
                return
            if not page and await ended(runs, thread_id, run_id):
                # Its last events may have come since we looked, and their bell not yet.
                over = True
                watcher.look()


async def follow_thread(hub: Hub, events: EventLog, thread_id: str, after: str, *, awaited: bool = False) -> Batches:
    """All entries of a thread behind `after` in batches, until it is deleted; an empty batch after 5 silent seconds.

    `awaited`: it need not be there yet.
    """
    async with hub.watch(thread_id, after) as watcher:
        watcher.look()  # what is behind `after` may be gone, and only who reads the log himself is told
        over = False
        while True:
            try:
                page = await watcher.next(0 if over else HEARTBEAT_SECONDS)
                if over and not page:
                    return
                if not page:
                    await events.newest(thread_id)
                awaited = False
            except NotFound:
                if awaited:
                    yield []
                    continue
                over = True  # a temporary thread's last events may have come since we looked, and their bell not yet
                watcher.look()
                continue
            except Unavailable:
                await asyncio.sleep(_AWAY_SECONDS)
                page = []
            yield page


async def quietly(batches: Batches) -> Batches:
    """The same batches less the empty ones that a filter leaves: a heartbeat only after some seconds without an event.

    But then it must be: of events that are not shown a proxy sees nothing, and takes the connection for dead.
    """
    shown = time.monotonic()
    async with contextlib.aclosing(batches):
        async for batch in batches:
            # Not quite as long as the heartbeats of silence are apart, so that none of these is left out.
            if batch or time.monotonic() - shown > 0.9 * HEARTBEAT_SECONDS:
                yield batch
                shown = time.monotonic()


async def has_lost(runs: RunStore, thread_id: str, run_id: str, gap: Entry) -> bool:
    """Whether a gap in the thread's log is one in the run's events: what was dropped may all be other runs'."""
    try:
        record = await runs.record(thread_id, run_id)
    except NotFound:
        return True
    return bool(record.first) and not is_later(record.first, gap.id)


async def ended(runs: RunStore, thread_id: str, run_id: str) -> bool:
    """Whether the run is over, or gone, as far as we can tell."""
    try:
        record = await runs.record(thread_id, run_id)
    except NotFound:
        return True
    except Unavailable:
        return False
    return not record.is_active


async def while_serving(app: web.Application, batches: Batches, *, resumable: bool) -> Batches:
    """The same batches, unless the gateway stops before they end: at once if they are resumable, else a little later.

    Raises ConnectionResetError then. An answer that just ended would look complete; to one that breaks off clients
    react, and ask again at its Location.
    """
    stop = app[DRAINING] if resumable else app[LEAVING]
    stopping = asyncio.ensure_future(stop.wait())
    following: asyncio.Future[list[Entry]] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(batches))
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                raise ConnectionResetError("the gateway is stopping")
            try:
                yield following.result()
            except StopAsyncIteration:
                return
    finally:
        stopping.cancel()
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait({following})
        if following is not None and not following.cancelled():
            following.exception()  # unless it was asked for, asyncio would complain of what nobody waits for any more
        await batches.aclose()
