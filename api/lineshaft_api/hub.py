"""Feeds every open stream of a gateway: one pub/sub connection hears the bells, one read serves all threads that rang.

A watcher has a place in its thread's log and a bounded queue. One that does not keep up loses its queue, not events: it
reads the log itself from its place until it has caught up. So a slow client costs nobody else anything.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import redis.exceptions as rx

from lineshaft.events.log import Entry, EventLog, count_like, is_full, is_later
from lineshaft.events.subscription import next_message
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

logger = log.get("hub")

_SWEEP_SECONDS = 1.0  # how long a bell that was lost with its connection can delay an event
# What waits for a client that does not take it, before it is let go and read again when the client comes for it.
_QUEUE_ENTRIES, _QUEUE_BYTES = 1_000, 1024 * 1024
_PAGE = 64  # entries of one thread in one read
_THREADS = 50  # that one read asks for: Redis answers nobody else meanwhile


class Watcher:
    """One reader of one thread's log, from behind the entry `after`."""

    def __init__(self, log: EventLog, thread_id: str, after: str, *, behind: bool) -> None:
        self._log = log
        self._thread_id = thread_id
        self._place = after
        self._behind = behind
        self._queue: deque[Entry] = deque()
        self._bytes = 0  # of the queue
        self._count = _PAGE  # entries of the next read, so that small ones come many at once
        self._rang = asyncio.Event()
        if behind:
            self._rang.set()

    def offer(self, entries: list[Entry]) -> None:
        """New entries, from the hub."""
        self._bytes += sum(len(entry.data) for entry in entries)
        # Whatever its size, what meets an empty queue is taken at once by a client that keeps up.
        is_too_much = len(self._queue) + len(entries) > _QUEUE_ENTRIES or self._bytes > _QUEUE_BYTES
        if self._queue and is_too_much:
            self._drop()
            self._behind = True
        else:
            self._queue.extend(entries)
        self._rang.set()

    def _drop(self) -> None:
        self._queue.clear()
        self._bytes = 0

    def look(self) -> None:
        """Let `next` read the log itself: bells may be late."""
        self._behind = True

    async def next(self, silence: float) -> list[Entry]:
        """The next entries in order; an empty list after `silence` seconds without any."""
        while True:
            if self._behind:
                # Before the read, so that what comes during it is queued: no gap between log and queue.
                self._behind = False
                try:
                    page = await self._log.read(self._thread_id, self._place, self._count)
                except BaseException:  # given up, or Redis is away: what was not read is still missing
                    self._behind = True
                    raise
                self._behind = self._behind or is_full(page, self._count)
                if page:
                    self._count = count_like(page)
            else:
                page = [entry for entry in self._queue if is_later(entry.id, self._place)]
                self._drop()
            if page:
                self._place = page[-1].id
                return page
            if self._behind or self._queue:
                continue
            self._rang.clear()
            try:
                # Not wait_for: until Python 3.12 that forgets a cancel which comes together with a bell.
                async with asyncio.timeout(silence):
                    await self._rang.wait()
            except TimeoutError:
                return []


class Hub:
    """The watchers of a gateway. `run` must be going while anyone watches."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._log = EventLog(client)
        self._blocking = client.blocking()
        self._pubsub: Any = None  # while it is connected
        self._watchers: dict[str, set[Watcher]] = {}
        self._places: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._rang = asyncio.Event()

    async def run(self) -> None:
        """Hear bells and distribute entries until cancelled."""
        tasks = [asyncio.create_task(t) for t in (self._hear(), self._distribute(), self._sweep())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._blocking.aclose()

    @contextlib.asynccontextmanager
    async def watch(self, thread_id: str, after: str) -> AsyncIterator[Watcher]:
        """Watch a thread's log from behind the entry `after`."""
        first = thread_id not in self._watchers
        watcher = Watcher(self._log, thread_id, after, behind=not first)
        self._watchers.setdefault(thread_id, set()).add(watcher)
        try:
            if first:
                self._places[thread_id] = after
                await self._send("subscribe", thread_id)  # its confirmation makes the thread dirty
            yield watcher
        finally:
            watchers = self._watchers[thread_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[thread_id], self._places[thread_id]
                self._dirty.discard(thread_id)
                await self._send("unsubscribe", thread_id)

    def _ring(self, *thread_ids: str) -> None:
        self._dirty.update(thread_ids)
        self._rang.set()

    async def _send(self, command: str, thread_id: str) -> None:
        """(Un)subscribe; without a connection nothing is to do, as `_hear` makes one with all that is watched then."""
        if self._pubsub is not None:
            with contextlib.suppress(rx.RedisError, OSError):
                await getattr(self._pubsub, command)(self._client.keys.thread_bell(thread_id))

    async def _hear(self) -> None:
        bell = self._client.keys.thread_bell
        prefix = len(bell(""))
        while True:
            # A new one for each connection: redis-py's own reconnecting would meet what watchers send meanwhile.
            pubsub: Any = self._blocking.pubsub()
            try:
                await pubsub.connect()
                self._pubsub = pubsub
                # A channel of no thread keeps the connection subscribed while nobody watches.
                await pubsub.subscribe(*map(bell, ("", *self._watchers)))
                while True:
                    message = await next_message(pubsub)
                    if message["type"] in ("message", "subscribe"):
                        thread_id = message["channel"].decode()[prefix:]
                        if thread_id in self._watchers:
                            self._ring(thread_id)
            except Exception as error:  # noqa: BLE001  # a gateway outlives its Redis: say so and connect again
                logger.warning("cannot hear bells", error=str(error))
            finally:
                self._pubsub = None
                await pubsub.aclose()
            await asyncio.sleep(0.2)  # seconds, so that a Redis that is away is not hammered; `_sweep` reads meanwhile

    async def _distribute(self) -> None:
        while True:
            await self._rang.wait()
            self._rang.clear()
            some = list(itertools.islice(self._dirty, _THREADS))
            self._dirty.difference_update(some)
            if self._dirty:
                self._rang.set()
            dirty = {t: self._places[t] for t in some if t in self._places}
            if not dirty:
                continue
            try:
                found = await self._log.read_many(dirty, _PAGE)
            except Exception as error:  # noqa: BLE001  # a gateway outlives its Redis: say so and read again
                logger.warning("cannot read events", error=str(error))
                await asyncio.sleep(0.5)  # seconds, on top of the client's own patience
                self._ring(*dirty)
                continue
            for thread_id, entries in found.items():
                if not entries or self._places.get(thread_id) != dirty[thread_id]:
                    continue  # nobody watches any more, or others do from another place, and that is read next
                self._places[thread_id] = entries[-1].id
                for watcher in self._watchers[thread_id]:
                    watcher.offer(entries)
                if is_full(entries, _PAGE):
                    self._ring(thread_id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            if self._watchers:
                self._ring(*self._watchers)
