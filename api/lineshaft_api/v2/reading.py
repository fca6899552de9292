"""Reads a thread's events from its log: those that there are, then those that come."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web
from msgspec import Struct

from lineshaft.errors import Unavailable
from lineshaft.events.log import GAP, Entry, EventLog
from lineshaft.runs.run import RunStore
from lineshaft_api.auth.sight import sees_thread
from lineshaft_api.context import CLIENT, HUB
from lineshaft_api.follow import follow_thread

from .event import Event
from .rendering import NUMBERS, Renderer

_BEGINNING = "0-0"
_LAST_IN_MS = 9999  # the highest id within a millisecond, see lib/log.lua
_AWAY_SECONDS = 0.5  # on top of the client's own patience with a Redis that is away


class Start(Struct):
    """Where reading begins."""

    since: int  # the number of the last event that is known; 0: none
    place: str  # in the log; what is behind it is read
    misses: bool  # what is lost behind `place` is missed, and to be told


async def find_start(app: web.Application, thread_id: str, since: int) -> Start:
    """Where a reader goes on who knows the events up to `since`; at the beginning for 0. Raises Unavailable.

    What the log has lost is missed only by who has read before: for the others it begins where it begins.
    """
    if not since:
        return Start(0, _BEGINNING, misses=False)
    log, runs = EventLog(app[CLIENT]), RunStore(app[CLIENT])
    # The entry that `since` is of is read again: more events may be made of it.
    place, newest = await log.seek(thread_id, (since - 1) // NUMBERS)
    # Who brings a number that was never given, of a thread that was deleted since, would wait for it for ever.
    since = min(since, newest * NUMBERS)
    begin = await _beginning(log, runs, thread_id, place)
    return Start(since, begin or place, misses=begin is None)


async def _beginning(log: EventLog, runs: RunStore, thread_id: str, place: str) -> str | None:
    """The place before the run that goes on at `place`, if its events depend on those before: an ordinary run's."""
    entries = await log.read(thread_id, place, 1)
    if not entries or not entries[0].run_id:
        return None
    record = (await runs.records(thread_id, [entries[0].run_id])).get(entries[0].run_id)
    if record is None or record.protocol_v2 or not record.first:
        return None
    ms, _, n = record.first.partition("-")
    return f"{ms}-{int(n) - 1}" if int(n) else f"{int(ms) - 1}-{_LAST_IN_MS}"


async def follow_events(request: web.Request, thread_id: str, start: Start) -> AsyncGenerator[list[Event], None]:
    """The events of all runs from there on in batches, empty ones in silence.

    The thread need not exist yet; the end comes when it is deleted. One that the caller may not see is as one that
    does not exist: whose it is shows when it has events.
    """
    app, is_seen = request.app, False
    renderer = Renderer(RunStore(app[CLIENT]), thread_id, start.since)
    misses = start.misses
    batches = follow_thread(app[HUB], EventLog(app[CLIENT]), thread_id, start.place, awaited=True)
    async with contextlib.aclosing(batches):
        async for batch in batches:
            if batch and not is_seen:
                is_seen = await sees_thread(request, thread_id)
            if not is_seen:
                yield []
                continue
            shown = batch if misses or not batch or batch[0].run_id else batch[1:]
            misses = misses or bool(batch)
            while (events := await _rendered(renderer, shown)) is None:
                yield []
                await asyncio.sleep(_AWAY_SECONDS)
            yield events


async def _rendered(renderer: Renderer, batch: list[Entry]) -> list[Event] | None:
    """The events of some entries; None while Redis is away."""
    try:
        return await renderer.render(batch)
    except Unavailable:
        return None


async def read_events(
    app: web.Application, thread_id: str, since: int, until: int
) -> AsyncGenerator[list[Event], None]:
    """The events behind `since` up to `until` that the log has, in batches. Raises Unavailable."""
    start = await find_start(app, thread_id, since)
    log, renderer, place = EventLog(app[CLIENT]), Renderer(RunStore(app[CLIENT]), thread_id, start.since), start.place
    while page := await log.read(thread_id, place):
        yield [event for event in await renderer.render(page) if event.seq <= until and not event.is_gap]
        if page[-1].seq * NUMBERS >= until:
            return
        place = page[-1].id


class Range(Struct):
    """What the log has of a thread's events. Numbers of events; `newest` 0: there never was one."""

    oldest: int
    newest: int
    is_lost: bool  # some behind the one that was asked for are gone


async def find_range(app: web.Application, thread_id: str, since: int) -> Range:
    """Whether all events behind `since` are there. Raises Unavailable."""
    log = EventLog(app[CLIENT])
    place, newest = await log.seek(thread_id, (since - 1) // NUMBERS if since else 0)
    entries = await log.read(thread_id, place, 1)
    is_lost = bool(entries) and not entries[0].run_id and entries[0].event == GAP
    first = entries[-1].seq if entries and entries[-1].seq else newest + 1  # it has expired: the next one will be
    return Range((first - 1) * NUMBERS + 1, newest * NUMBERS, is_lost)
