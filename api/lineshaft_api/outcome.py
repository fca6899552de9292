"""What a client that waits for a run gets in the end: one JSON value, made of what the run's stream showed."""

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from lineshaft.events.log import END, GAP, Entry, status_told
from lineshaft.threads.thread import Thread

_NULL = Raw(b"null")


class _Paused(Struct):
    interrupts: list[Raw] = field(default_factory=list, name="__interrupt__")


class _Asked(Struct):
    id: str = field(name="interrupt_id")
    value: Raw


_decode_paused = msgspec.json.Decoder(_Paused).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode


class Outcome:
    """Collects the events of a run's last attempt."""

    def __init__(self) -> None:
        self.status = ""  # the run's, when its END entry was among the events
        self._attempt = 0
        self.values: bytes | None = None  # the last that were shown
        self.error: bytes | None = None  # {"error", "message"} of a run that failed
        self._paused: list[tuple[bytes, list[Raw]]] = []
        self._asked: list[Raw] = []  # interrupts of protocol v2, whose values do not name them

    def add(self, entries: list[Entry]) -> None:
        """Look at the next events of the run. Those of subgraphs do not count."""
        for entry in entries:
            if entry.attempt > self._attempt:
                self.__init__()  # type: ignore[misc]  # an earlier attempt's events are void: start again
                self._attempt = entry.attempt
            if entry.event == END:
                self.status = status_told(entry.data)
            elif entry.event == "error":
                self.error = entry.data
            elif entry.event in ("values", "updates"):
                if entry.event == "values":
                    self.values = entry.data
                if interrupts := _interrupts(entry.data):
                    self._paused.append((entry.data, interrupts))
            elif entry.mode == "input.requested":  # told once, by the subgraph that asks
                asked = _decode_asked(entry.data)
                shown = {"value": asked.value, "id": asked.id, "response_schema": None}  # as in protocol v1
                self._asked.append(Raw(msgspec.json.encode(shown)))
            elif entry.event == GAP:
                # What is missing may have been newer values.
                self.values = None

    @property
    def interrupts(self) -> list[Raw]:
        """What the run waits for an answer to."""
        distinct: dict[str, Raw] = {}
        for interrupts in (self._asked, *(interrupts for _, interrupts in self._paused)):
            distinct |= {_identity(interrupt): interrupt for interrupt in interrupts}
        return list(distinct.values())

    def body(self) -> bytes | None:
        """The answer, or None when the events have none: the thread's values are it then."""
        if self.error is not None:
            return b'{"__error__":' + self.error + b"}"
        distinct = self.interrupts
        if self._asked:
            values: Any = msgspec.json.decode(self.values or b"null")
            shown = values if isinstance(values, dict) else {}  # a graph's values may be anything
            return msgspec.json.encode({**shown, "__interrupt__": distinct})
        whole = [data for data, interrupts in self._paused if len(interrupts) == len(distinct)]
        if whole:
            return next((data for data in whole if data is self.values), whole[0])
        if distinct:
            return msgspec.json.encode({"__interrupt__": distinct})
        return self.values


def _interrupts(data: bytes) -> list[Raw]:
    if b'"__interrupt__"' not in data:  # costs nothing beside decoding every event
        return []
    try:
        return _decode_paused(data).interrupts
    except msgspec.ValidationError:  # a graph's own values, which just use the word
        return []


def _identity(interrupt: Raw) -> str:
    shown: Any = msgspec.json.decode(interrupt)
    return str(shown["id"]) if isinstance(shown, dict) and "id" in shown else bytes(interrupt).decode()


def of_thread(thread: Thread, *, seen: bool) -> bytes:
    """The answer that a run's events do not give: the thread as it is now.

    Of a run whose end was `seen` an error would have been too; what the thread names as one then is that it was
    cancelled, and who waits for a cancelled run gets the values.
    """
    if not seen and isinstance(thread.error, Raw) and thread.error != _NULL:
        return b'{"__error__":' + thread.error + b"}"
    if isinstance(thread.interrupts, Raw):
        by_task = msgspec.json.decode(thread.interrupts, type=dict[str, list[Raw]])
        if by_task:
            return msgspec.json.encode({"__interrupt__": [i for interrupts in by_task.values() for i in interrupts]})
    return b"{}" if thread.values == _NULL else bytes(thread.values)
