"""The events of protocol v2 as a run's log holds them: a name `<method>|<namespace>...` and plain JSON.

What all events have (ids, numbers, times) is derived from the log by who reads it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from langchain_core.language_models._compat_bridge import message_to_events  # private: pinned by a test
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from .encoding import plain, to_json
from .failure import without_errors
from .streaming import Event, shown_checkpoint

# In updates beside the nodes: questions, which have events of their own, and whether an earlier attempt did the step.
_NO_NODES = {"__interrupt__", "__metadata__"}
_CUSTOM = "custom:"  # before the name of a channel that one of the graph's transformers has made


class ProtocolRenderer:
    """Renders what a mux sends, in order; `masked`: not what exceptions say."""

    def __init__(self, *, masked: bool = False) -> None:
        self._masked = masked
        self._asked: set[str] = set()  # interrupts that were told: the graphs above the one that asks show them again
        self._graphs: dict[tuple[str, ...], str] = {}  # names of the subgraphs that have started
        self._open: dict[tuple[str, ...], dict[str, str]] = {}  # namespace -> call of a model -> its message's id

    def render(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """The events of one of the mux; none of what is no channel of the protocol."""
        method, params = event["method"], event["params"]
        namespace, data = tuple(params["namespace"]), params["data"]
        if self._masked:
            data = without_errors(method, data)
        if method == "values":
            yield _event(method, namespace, data)
            yield from self._interrupts(namespace, params.get("interrupts", ()))
        elif method == "updates":
            shown = {node: update for node, update in data.items() if node not in _NO_NODES}
            if shown:
                yield _event(method, namespace, shown)
        elif method == "messages":
            yield from self._message(namespace, *data)
        elif method == "lifecycle":
            yield from self._lifecycle(tuple(data["namespace"]), data)
        elif method == "checkpoints":
            yield _event(method, namespace, shown_checkpoint(data))
        elif method in ("tools", "custom", "tasks"):
            yield _event(method, namespace, data)
        elif method.startswith(_CUSTOM):
            yield _event("custom", namespace, {"name": method.removeprefix(_CUSTOM), "payload": data})

    def _interrupts(self, namespace: tuple[str, ...], interrupts: Any) -> Iterator[Event]:
        for interrupt in interrupts:
            if interrupt.id not in self._asked:
                self._asked.add(interrupt.id)
                # The protocol says `payload`, the Python SDK reads `value`.
                data = {"interrupt_id": interrupt.id, "payload": interrupt.value, "value": interrupt.value}
                yield _event("input.requested", namespace, data)

    def _lifecycle(self, namespace: tuple[str, ...], data: dict[str, Any]) -> Iterator[Event]:
        """Of a subgraph; the run's own is told by its log's first and last entries."""
        if data["event"] == "started":
            self._graphs[namespace] = data.get("graph_name", "")
            yield _event("lifecycle", namespace, data)
        elif data["event"] != "drained":  # it goes on elsewhere, with the run
            shown = {name: value for name, value in data.items() if name != "namespace"}
            yield _event("lifecycle", namespace, {**shown, "graph_name": self._graphs.pop(namespace, "")})

    def _message(self, namespace: tuple[str, ...], payload: Any, metadata: dict[str, Any]) -> Iterator[Event]:
        if isinstance(payload, dict):
            yield _event("messages", namespace, self._part(namespace, payload, str(metadata.get("run_id"))))
        elif (
            # Of a model that does not stream. What a node just returns is told by the values.
            isinstance(payload, AIMessage) and not isinstance(payload, AIMessageChunk) and "ls_model_type" in metadata
        ):
            for part in message_to_events(payload, message_id=payload.id):
                yield _event("messages", namespace, part)

    def _part(self, namespace: tuple[str, ...], part: dict[str, Any], call: str) -> dict[str, Any]:
        """One part of a message. While several are under way in one graph, each of their parts names its own."""
        messages = self._open.setdefault(namespace, {})
        if part["event"] == "message-start":
            messages[call] = str(part.get("id") or "")
            return part
        ident = messages.get(call)
        shown = {**part, "message_id": ident} if ident and len(messages) > 1 else part
        if part["event"] in ("message-finish", "error"):
            messages.pop(call, None)
            if not messages:
                del self._open[namespace]
        return shown


def _event(method: str, namespace: tuple[str, ...], data: Any) -> Event:
    return Event("|".join((method, *namespace)), _to_json(data))


def _to_json(data: Any) -> bytes:
    """JSON in which messages have only the fields that say something."""
    try:
        return orjson.dumps(data, _compact)
    except (TypeError, RecursionError):
        return to_json(data)


def _compact(value: Any) -> Any:
    if not isinstance(value, BaseMessage):
        return plain(value)
    shown = plain(value)
    return {name: part for name, part in shown.items() if name in ("content", "type") or not _says_nothing(part)}


def _says_nothing(part: Any) -> bool:
    return part is None or (isinstance(part, str | list | dict) and not part)
