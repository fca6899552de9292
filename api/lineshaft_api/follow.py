"""Follows one run through its thread's event log to its end: what streams, waits and joins have in common."""

import asyncio
import time
from collections.abc import AsyncGenerator

from aiohttp import web

from lineshaft.errors import NotFound
from lineshaft.events import END, Entry, is_later
from lineshaft.runs import RunStore

from .context import DRAINING
from .hub import Hub

HEARTBEAT_SECONDS = 5.0  # clients and proxies take a longer silence for a dead connection


Batches = AsyncGenerator[list[Entry], None]


async def follow(hub: Hub, runs: RunStore, thread_id: str, run_id: str, after: str) -> Batches:
    """The run's entries behind `after` in batches, until it ends; an empty batch after 5 seconds of silence.

    The end is the run's END entry (not part of the batches). A reader that comes too late for it, since the log has
    been trimmed or has expired, finds the run's record ended or gone.
    """
    async with hub.watch(thread_id, after) as watcher:
        silent_since = time.monotonic()
        while True:
            # Other runs of the thread may be loud while this one is silent.
            left = silent_since + HEARTBEAT_SECONDS - time.monotonic()
            page = await watcher.next(left) if left > 0 else []
            own = [entry for entry in page if entry.run_id == run_id]
            if page and not page[0].run_id and await has_lost(runs, thread_id, run_id, page[0]):
                own.insert(0, page[0])
            if own and own[-1].event == END:
                if own[:-1]:
                    yield own[:-1]
                return
            if own or not page:
                yield own
                silent_since = time.monotonic()
            if not page and await ended(runs, thread_id, run_id):
                return


async def has_lost(runs: RunStore, thread_id: str, run_id: str, gap: Entry) -> bool:
    """Whether a gap in the thread's log is one in the run's events: what was dropped may all be other runs'."""
    try:
        record = await runs.record(thread_id, run_id)
    except NotFound:
        return True
    return bool(record.first) and not is_later(record.first, gap.id)


async def ended(runs: RunStore, thread_id: str, run_id: str) -> bool:
    """Whether the run is over, or gone."""
    try:
        record = await runs.record(thread_id, run_id)
    except NotFound:
        return True
    return not record.is_active


async def while_serving(app: web.Application, batches: Batches) -> Batches:
    """The same batches, ended early when the gateway stops: who needs to know looks at `app[DRAINING]`."""
    draining = asyncio.ensure_future(app[DRAINING].wait())
    following: asyncio.Future[list[Entry]] | None = None
    try:
        while not app[DRAINING].is_set():
            following = asyncio.ensure_future(anext(batches))
            await asyncio.wait({following, draining}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                yield following.result()
            except StopAsyncIteration:
                return
    finally:
        draining.cancel()
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait({following})
        await batches.aclose()
