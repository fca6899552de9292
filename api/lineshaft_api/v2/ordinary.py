"""Events of runs that were not started by protocol v2, for its clients: a thread may have had both."""

from collections.abc import Iterator
from typing import Any

import msgspec

from lineshaft.events.log import Entry

from .part import Part, interrupt_ident
from .speech import Speech

_INTERRUPT = "__interrupt__"
_METADATA = "__metadata__"  # in updates, beside the nodes: whether a step was done by an earlier attempt
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


class OrdinaryRun:
    """Renders the entries of one run, in order from its first: some depend on what was before."""

    def __init__(self) -> None:
        self._attempt = 0
        self._speech = Speech()
        self._asked: set[str] = set()  # interrupts that were told: the graphs above the one that asks show them again

    def parts(self, entry: Entry, name: str, namespace: list[str]) -> Iterator[Part]:
        """What an entry says on the channels of the protocol; `debug` and `events` are none."""
        if entry.attempt != self._attempt:
            self._attempt, self._speech = entry.attempt, Speech()
        if name == "messages":
            yield from self._speech.chunk(namespace, *_decode(entry.data))
        elif name == "messages/partial":
            for message in _decode(entry.data):
                yield from self._speech.partial(message)
        elif name == "messages/complete":
            for message in _decode(entry.data):
                if message.get("type") == "tool":
                    yield from self._speech.chunk([], message, {})
        elif name == "values":
            yield from self._values(entry, namespace)
        elif name == "updates":
            yield from self._updates(entry, namespace)
        elif name in ("custom", "tasks", "checkpoints"):
            yield Part(name, namespace, entry.data)

    def end(self) -> Iterator[Part]:
        """What is to be told before the run's end is."""
        return self._speech.end()

    def _values(self, entry: Entry, namespace: list[str]) -> Iterator[Part]:
        if not namespace:
            yield from self._speech.step()
        found = _decode(entry.data) if b'"__interrupt__"' in entry.data else None
        if not isinstance(found, dict):
            yield Part("values", namespace, entry.data)
            return
        interrupts = found.pop(_INTERRUPT, None)
        yield Part("values", namespace, _encode(found))
        yield from self._interrupts(entry, namespace, interrupts)

    def _updates(self, entry: Entry, namespace: list[str]) -> Iterator[Part]:
        found = _decode(entry.data)
        if not isinstance(found, dict):
            return
        interrupts = found.pop(_INTERRUPT, None)
        found.pop(_METADATA, None)
        for node, update in found.items():
            yield Part("updates", namespace, _encode(update), node=node)
        yield from self._interrupts(entry, namespace, interrupts)

    def _interrupts(self, entry: Entry, namespace: list[str], interrupts: Any) -> Iterator[Part]:
        for interrupt in interrupts if isinstance(interrupts, list) else ():
            ident, value = str(interrupt["id"]), interrupt.get("value")
            if ident not in self._asked:
                self._asked.add(ident)
                data = _encode({"interrupt_id": ident, "payload": value, "value": value})
                event_id = interrupt_ident(entry.run_id, "|".join(namespace), ident)
                yield Part("input.requested", namespace, data, event_id)
