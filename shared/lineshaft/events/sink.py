"""Where a running run puts its events: coalesced into few appends, each fenced and safe to repeat."""

import asyncio
import contextlib

import msgspec

from lineshaft.errors import LineshaftError
from lineshaft.redis.client import Client
from lineshaft.redis.slices import keep

from .log import GAP

# The claim has already logged the first event (`metadata`), so a moment's wait costs no client anything, and a run
# that is over by then needs no append at all: its events travel with its end.
_FIRST_DELAY = 0.004  # seconds
_DELAY = 0.015  # seconds: what a person reads as immediate, and 10 to 30 tokens
_MAX_EVENTS = 32
_MAX_BYTES = 64 * 1024
# Events that one script appends: a millisecond or two of Redis, which does nothing else meanwhile.
_APPENDED = 256
# What may wait for a Redis that is slow or away, before the run itself must wait.
_BUFFER_EVENTS = 32 * _MAX_EVENTS
_BUFFER_BYTES = 4 * _MAX_BYTES
_BLOB_BYTES = 64 * 1024  # a larger event is kept in slices outside the log
_MAX_EVENT_BYTES = 16 * 1024 * 1024
_BLOB_TTL = 48 * 3600  # seconds: the longest run (a day) plus the longest life of its events (a day)


class EventSink:
    """The events of one attempt of one run."""

    def __init__(self, client: Client, run_id: str, token: str) -> None:
        self._client = client
        self._run_id = run_id
        self._token = token
        self._buffer: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._batch = 0
        self._full = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._flusher: asyncio.Task[None] | None = None
        self._closing = False

    async def put(self, event: str, data: bytes) -> None:
        """Add one event; waits while the buffer is full (Redis is slow or away). Raises what an append raised."""
        if self._flusher is not None and self._flusher.done():
            self._flusher.result()  # raises Fenced: the run is lost
        while not self._space.is_set():
            assert self._flusher is not None  # noqa: S101 - for the type checker: only a flusher's buffer can be full
            waiter = asyncio.ensure_future(self._space.wait())
            try:
                await asyncio.wait({waiter, self._flusher}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiter.cancel()
            if self._flusher.done():
                self._flusher.result()
        event, data = _bounded(event, data)
        self._buffer.append((event, data))
        self._bytes += len(data)
        self._note_level()
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_until_closed())
            self._flusher.add_done_callback(_look_at_result)

    async def close(self) -> list[str | bytes]:
        """Stop; returns the events not yet appended as entries for the script that ends the run.

        Large ones are appended here. Never raises for a lost run: the end's own script finds that out.
        """
        self._closing = True
        self._full.set()
        try:
            if self._flusher is not None:
                await self._flusher
            while self._bytes > _BLOB_BYTES or len(self._buffer) > _APPENDED:
                await self._append()
        except LineshaftError:
            return []
        rest = [part for event, data in self._buffer for part in (event, "d", data)]
        self._buffer, self._bytes = [], 0
        return rest

    async def discard(self) -> None:
        """Append what is left and stop: the run goes on elsewhere, and those who watch it with it. Raises Fenced."""
        rest = await self.close()
        if rest:
            self._batch += 1
            await self._client.script(
                "run_append", run_id=self._run_id, token=self._token, batch=self._batch, entries=rest
            )

    async def _flush_until_closed(self) -> None:
        delay = _FIRST_DELAY
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), delay)
            if self._closing:
                return
            if not self._buffer:
                # Quiet: end this task, the next event starts another.
                self._flusher = None
                return
            await self._append()
            delay = _DELAY

    async def _append(self) -> None:
        taken, self._buffer = self._buffer[:_APPENDED], self._buffer[_APPENDED:]
        self._bytes -= sum(len(data) for _, data in taken)
        self._full.clear()
        commands: list[tuple[object, ...]] = []
        entries: list[str | bytes] = []
        for event, data in taken:
            slices, entry = entry_of(self._client, event, data)
            commands += slices
            entries += entry
        self._batch += 1
        await self._client.after(
            commands, "run_append", run_id=self._run_id, token=self._token, batch=self._batch, entries=entries
        )
        self._space.set()
        self._note_level()

    def _note_level(self) -> None:
        """Let the flusher go on at once if there is enough to append, and the run wait if there is too much."""
        if len(self._buffer) >= _MAX_EVENTS or self._bytes >= _MAX_BYTES:
            self._full.set()
        if len(self._buffer) >= _BUFFER_EVENTS or self._bytes >= _BUFFER_BYTES:
            self._space.clear()


def entry_of(client: Client, event: str, data: bytes) -> tuple[list[tuple[object, ...]], list[str | bytes]]:
    """An event as scripts append it, and the commands that go before them if it is large."""
    event, data = _bounded(event, data)
    if len(data) <= _BLOB_BYTES:
        return [], [event, "d", data]
    slices, blob_id = keep(client, data, _BLOB_TTL)
    return slices, [event, "k", f"{blob_id}:{len(data)}"]


def _bounded(event: str, data: bytes) -> tuple[str, bytes]:
    """The event, or a gap in place of one that no client should have to take."""
    if len(data) <= _MAX_EVENT_BYTES:
        return event, data
    return GAP, msgspec.json.encode({"reason": "the event is too large", "event": event, "bytes": len(data)})


def _look_at_result(flusher: asyncio.Task[None]) -> None:
    """A failure is raised by `put`; a sink that is just left, since its run is lost, need not fill asyncio's log."""
    if not flusher.cancelled():
        flusher.exception()
