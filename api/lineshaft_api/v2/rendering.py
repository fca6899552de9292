"""Turns the entries of a thread's log into events of protocol v2.

Each entry has ten thousand numbers for the events made of it, so they depend on the log alone: every gateway numbers
alike, also after a restart, and a client that was elsewhere goes on with `since`.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.events.log import END, GAP, PAUSED, STATE_UPDATE, SUPERSEDED, Entry
from lineshaft.runs.record import RunRecord
from lineshaft.runs.run import RunStore

from .event import Event, Params
from .ordinary import OrdinaryRun
from .part import Part, interrupt_ident, lifecycle_ident
from .tool_message import tool_message

NUMBERS = 10_000  # for the events of one entry: a step with very many interrupts has thousands. All are below 2**53

_encode = msgspec.json.encode


class _Failure(Struct):
    error: str = ""
    message: str = ""


class _ToolEvent(Struct):
    event: str = ""
    tool_call_id: str = ""
    output: Any = None


class _Interrupt(Struct):
    interrupt_id: str


class _Lifecycle(Struct):
    event: str


class Renderer:
    """Renders one reader's entries, in order, from behind the event `since`."""

    def __init__(self, runs: RunStore, thread_id: str, since: int = 0) -> None:
        self._runs = runs
        self._thread_id = thread_id
        self._since = since
        self._records: dict[str, RunRecord | None] = {}  # of the runs that are under way here
        self._ordinary: defaultdict[str, OrdinaryRun] = defaultdict(OrdinaryRun)  # those of no protocol

    async def render(self, batch: list[Entry]) -> list[Event]:
        """The events of some entries. Raises Unavailable, and can be called with them again then."""
        await self._read_records(batch)
        return [event for entry in batch for event in self._events(entry) if event.seq > self._since or event.is_gap]

    async def _read_records(self, batch: list[Entry]) -> None:
        unknown = {entry.run_id for entry in batch if entry.event != STATE_UPDATE} - {"", *self._records}
        if unknown:
            found = await self._runs.records(self._thread_id, unknown)
            self._records |= {run_id: found.get(run_id) for run_id in unknown}

    def _events(self, entry: Entry) -> Iterator[Event]:
        if entry.event == STATE_UPDATE:  # no run's: what it names as one is a lock
            return
        timestamp = int(entry.id.partition("-")[0])
        if not entry.run_id:  # a gap: events of unknown runs are lost
            params = Params([], timestamp, Raw(entry.data))
            yield Event(f"gap:{entry.id}", self._since, GAP, params)
            return
        record = self._records.get(entry.run_id)
        if entry.event == END:
            self._records.pop(entry.run_id, None)
        if record is None:  # deleted, or taken back
            return
        first = (entry.seq - 1) * NUMBERS + 1
        for n, part in enumerate(self._parts(entry, record)):
            ident = part.ident or (f"{entry.id}.{n}" if n else entry.id)
            params = Params(part.namespace, timestamp, Raw(part.data), part.node)
            # Those beyond share the last number: who reads gets all of them.
            yield Event(ident, first + min(n, NUMBERS - 1), part.method, params)
        if entry.event == END:
            self._ordinary.pop(entry.run_id, None)

    def _parts(self, entry: Entry, record: RunRecord) -> Iterator[Part]:
        name, _, path = entry.event.partition("|")
        namespace = path.split("|") if path else []
        if name in ("error", END) and entry.run_id in self._ordinary:
            yield from self._ordinary[entry.run_id].end()
        if name == "metadata":
            yield _root(entry.run_id, record.graph, "running")
        elif name == "error":
            failure = msgspec.json.decode(entry.data, type=_Failure)
            yield _root(entry.run_id, record.graph, "failed", error=failure.message or failure.error)
        elif name == END:
            yield from _ends(entry, record)
        elif name == GAP:
            yield Part(GAP, [], entry.data)
        elif record.protocol_v2:
            yield from _of_protocol(entry, name, namespace)
        else:
            yield from self._ordinary[entry.run_id].parts(entry, name, namespace)


def _root(run_id: str, graph: str, status: str, **more: str) -> Part:
    """An event in the life of the run itself."""
    data = _encode({"event": status, "graph_name": graph, **more})
    return Part("lifecycle", [], data, lifecycle_ident(run_id, "", status))


def _ends(end: Entry, record: RunRecord) -> Iterator[Part]:
    told = msgspec.json.decode(end.data, type=str)
    if told in (PAUSED, SUPERSEDED, "interrupted"):
        yield _root(end.run_id, record.graph, "interrupted")
    # Of a cancelled run clients wait for more: nothing but this ends their iterators. It will not go on, as one that is
    # paused, and none follows it, as one whose place was taken.
    if told in ("success", "interrupted"):
        yield _root(end.run_id, record.graph, "completed")


def _of_protocol(entry: Entry, name: str, namespace: list[str]) -> Iterator[Part]:
    """What a run of this protocol has logged."""
    ident, path = "", "|".join(namespace)
    if name == "lifecycle":
        ident = lifecycle_ident(entry.run_id, path, msgspec.json.decode(entry.data, type=_Lifecycle).event)
    elif name == "input.requested":
        asked = msgspec.json.decode(entry.data, type=_Interrupt).interrupt_id
        ident = interrupt_ident(entry.run_id, path, asked)
    yield Part(name, namespace, entry.data, ident)
    if name == "tools":
        tool = msgspec.json.decode(entry.data, type=_ToolEvent)
        if tool.event == "tool-finished":
            yield from tool_message(tool.tool_call_id, tool.output)
