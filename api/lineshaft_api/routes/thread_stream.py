"""One stream of all that happens on a thread: its runs, one after the other, and changes of its state."""

import contextlib
import re

import msgspec
from aiohttp import web
from msgspec import Struct

from lineshaft.errors import Invalid, NotFound
from lineshaft.events.log import END, GAP, STATE_UPDATE, Entry, EventLog, is_later, redis_id
from lineshaft.runs.run import RunStore
from lineshaft_api import sse
from lineshaft_api.context import CLIENT, HUB
from lineshaft_api.follow import Batches, follow_thread, quietly
from lineshaft_api.operation import Operation, ThreadId, operation

_MODES = ("run_modes", "lifecycle", "state_update")
_ID = re.compile(r"\d{1,15}(-\d{1,15})?")  # longer ones are not times, and Redis would refuse them
_BEGINNING = "0-0"


class ThreadStreamQuery(Struct):
    """What to stream: `run_modes` (all events of runs), `lifecycle` (their starts and ends), `state_update`.

    Repeated, or with commas; the official client calls it `stream_mode`.
    """

    stream_modes: list[str] = []
    stream_mode: list[str] = []


@operation("GET", "/threads/{thread_id}/stream", errors=(404,), tags=("Threads",))
async def stream_thread(request: web.Request, thread_id: ThreadId, query: ThreadStreamQuery) -> web.StreamResponse:
    """Stream the events of all runs of a thread, from now on.

    The end of each run is a `metadata` event with `"status": "run_done"`; the stream ends only when the thread is
    deleted. With `Last-Event-ID` (`-` is the beginning) it starts with what came after that event; of runs that are not
    resumable only a `gap` and their ends.
    """
    modes = _modes([*query.stream_modes, *query.stream_mode])
    events = EventLog(request.app[CLIENT])
    newest = await events.newest(thread_id)
    last_id = request.headers.get("Last-Event-ID")
    after = newest if last_id is None else _place(last_id)
    if is_later(after, newest):
        after = newest  # an id that was never given: whoever brings it would wait for it for ever
    entries = follow_thread(request.app[HUB], events, thread_id, after)
    shown = _Shown(RunStore(request.app[CLIENT]), thread_id, modes, newest, tells_gaps=after != _BEGINNING)
    return await sse.stream(request, quietly(shown.of(entries)), {}, with_ids=True)


class _Shown:
    """What a client sees of a thread's log."""

    def __init__(
        self, runs: RunStore, thread_id: str, modes: set[str], replayed_until: str, *, tells_gaps: bool
    ) -> None:
        self._runs = runs
        self._thread_id = thread_id
        self._modes = modes
        self._replayed_until = replayed_until  # what is behind it is live
        self._tells_gaps = tells_gaps
        self._resumable: dict[str, bool] = {}  # the runs met in the replayed part

    async def of(self, batches: Batches) -> Batches:
        """Batches of the log's entries as batches of events."""
        async with contextlib.aclosing(batches):
            async for batch in batches:
                yield [event for entry in batch if (event := await self._event(entry)) is not None]

    async def _event(self, entry: Entry) -> Entry | None:
        if entry.event == GAP and not entry.run_id:
            return entry
        if entry.event == STATE_UPDATE:
            return entry if STATE_UPDATE in self._modes else None
        is_lifecycle = entry.event in ("metadata", END)
        if "run_modes" not in self._modes and not (is_lifecycle and "lifecycle" in self._modes):
            return None
        if not is_later(entry.id, self._replayed_until):
            is_met = entry.run_id in self._resumable
            if not await self._is_resumable(entry.run_id) and not (self._tells_gaps and entry.event == END):
                return None if is_met or not self._tells_gaps else _gap(entry)
        return _done(entry) if entry.event == END else entry

    async def _is_resumable(self, run_id: str) -> bool:
        if run_id not in self._resumable:
            try:
                self._resumable[run_id] = (await self._runs.record(self._thread_id, run_id)).resumable
            except NotFound:  # deleted, or rolled back
                self._resumable[run_id] = False
        return self._resumable[run_id]


def _done(end: Entry) -> Entry:
    data = msgspec.json.encode({"status": "run_done", "run_id": end.run_id})
    return msgspec.structs.replace(end, event="metadata", data=data)


def _gap(first: Entry) -> Entry:
    """In place of a run's events that a client has missed."""
    data = msgspec.json.encode({"reason": "the run is not resumable", "run_id": first.run_id})
    return msgspec.structs.replace(first, event=GAP, data=data)


def _modes(values: list[str]) -> set[str]:
    modes = {mode for value in values for mode in value.split(",") if mode}
    if unknown := modes - {*_MODES}:
        raise Invalid(f"Query: unknown mode {min(unknown)!r} in stream_modes; there are {', '.join(_MODES)}")
    return modes or {"run_modes"}


def _place(last_id: str) -> str:
    """The id in a Last-Event-ID; a malformed one would replay anything or nothing."""
    if last_id in ("-", ""):
        return _BEGINNING
    if not _ID.fullmatch(last_id):
        raise Invalid(f"Last-Event-ID {last_id!r} is not an event's id, as 1795292900382-0000, nor `-`, the beginning")
    return redis_id(last_id)


OPERATIONS: list[Operation] = [stream_thread]
