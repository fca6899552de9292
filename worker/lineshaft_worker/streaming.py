"""Runs a graph and turns what it streams into the events that clients know: names and data, without ids and framing."""

import uuid
from collections.abc import AsyncGenerator, Iterator
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import RunControl

from lineshaft.runs.request import RunSpec

from .encoding import to_json
from .failure import without_errors
from .graphs import Graph

# Records of langchain's event log with this tag are kept from clients, as its own tools do.
_HIDDEN = "langsmith:hidden"


class Event(NamedTuple):
    """One server-sent event: `values`, `updates|child:<id>`, `messages/partial` ..., and its JSON."""

    name: str
    data: bytes


async def stream_run(
    graph: Graph,
    graph_input: Any,
    config: RunnableConfig,
    *,
    context: Any,
    spec: RunSpec,
    control: RunControl,
    run_id: str,
    masked: bool = False,
) -> AsyncGenerator[Event, None]:
    """Run the graph to its end, its next pause or its error, and yield its events; `masked`: not what exceptions say.

    Raises what the graph raises; GraphDrained when `control` asked it to stop at a step boundary.
    """
    renderer = Renderer(spec, masked=masked)
    arguments: dict[str, Any] = {
        "context": context,
        "stream_mode": renderer.graph_modes,
        # Not only a filter: with it on, models inside subgraphs stream token by token to the root.
        "subgraphs": spec.subgraphs,
        "durability": spec.durability,
        "interrupt_before": spec.interrupt_before,
        "interrupt_after": spec.interrupt_after,
        "control": control,
    }
    config = {**config, "run_id": uuid.UUID(run_id)}
    if "events" not in spec.stream_mode:
        async for chunk in graph.astream(graph_input, config, **arguments):
            for event in renderer.render(chunk):
                yield event
        return
    async for record in graph.astream_events(graph_input, config, version="v2", **arguments):
        shown: Any = record
        if record["event"] == "on_chain_stream" and record["run_id"] == run_id:
            chunk = record["data"]["chunk"]
            for event in renderer.render(chunk):
                yield event
            *namespace, mode, payload = chunk
            shown = {**record, "data": {"chunk": (*namespace, mode, renderer.shown(mode, payload))}}
        elif masked:
            shown = without_errors("events", record)
        if _HIDDEN not in record.get("tags", ()):
            yield Event("events", to_json(shown))


class Renderer:
    """Events of the chunks that one run of a graph streams."""

    def __init__(self, spec: RunSpec, *, masked: bool = False) -> None:
        self._masked = masked
        wanted = set(spec.stream_mode)
        # messages-tuple is the plainer form of the same chunks, and wins.
        self._partials = None if "messages-tuple" in wanted else Partials()
        self.graph_modes = sorted({"messages" if m == "messages-tuple" else m for m in wanted} - {"events"})
        self._subgraphs = spec.subgraphs

    def render(self, chunk: Any) -> Iterator[Event]:
        """Events of one chunk: (mode, payload), or with subgraphs (namespace, mode, payload)."""
        namespace, mode, payload = chunk if self._subgraphs else ((), *chunk)
        if mode == "messages" and self._partials is not None:
            yield from self._partials.render(*payload)
            return
        yield Event("|".join((mode, *namespace)) if namespace else mode, to_json(self.shown(mode, payload)))

    def shown(self, mode: str, payload: Any) -> Any:
        """A chunk's payload without what is no client's business."""
        return _shown(mode, without_errors(mode, payload) if self._masked else payload)


class Partials:
    """The `messages` mode: each chunk of a model shows the whole message so far. Its events never name a namespace."""

    def __init__(self) -> None:
        self._messages: dict[str, BaseMessageChunk] = {}
        self._known: set[str] = set()

    def render(self, message: BaseMessage, metadata: dict[str, Any]) -> Iterator[Event]:
        """Events of one chunk or message, with the metadata of the call it comes from."""
        message_id = message.id or ""
        if message_id not in self._known:
            self._known.add(message_id)
            yield Event("messages/metadata", to_json({message_id: {"metadata": metadata}}))
        if not isinstance(message, BaseMessageChunk):
            yield Event("messages/complete", to_json([message]))
            return
        before = self._messages.get(message_id)
        whole = self._messages[message_id] = before + message if before is not None else message
        yield Event("messages/partial", to_json([message_chunk_to_message(whole)]))


def _shown(mode: str, payload: Any) -> Any:
    """A chunk's payload without what is no client's business."""
    if mode == "checkpoints":
        return shown_checkpoint(payload)
    if mode == "debug" and payload["type"] == "checkpoint":
        return {**payload, "payload": _debug_checkpoint(payload["payload"])}
    return payload


def _configurable(config: RunnableConfig | None) -> dict[str, Any] | None:
    """What of a config is a client's business: the place of a checkpoint, and plain settings."""
    if not config:
        return None
    shown = config.get("configurable", {})
    return {
        key: value
        for key, value in shown.items()
        if key == "checkpoint_map" or (not key.startswith("__") and isinstance(value, str | int | float | bool))
    }


def shown_checkpoint(payload: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as langgraph streams it, without what is no client's business."""
    shown = dict(payload)
    for name in ("config", "parent_config"):
        configurable = _configurable(payload.get(name))
        shown[name] = None if configurable is None else {"configurable": configurable}
    return shown


def _debug_checkpoint(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        **shown_checkpoint(payload),
        "checkpoint": place(payload.get("config")),
        "parent_checkpoint": place(payload.get("parent_config")),
    }


def place(config: RunnableConfig | None) -> dict[str, Any] | None:
    """A checkpoint's place: thread_id, checkpoint_ns, checkpoint_id and, inside subgraphs, checkpoint_map."""
    if not config or not (configurable := config.get("configurable")):
        return None
    names = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")
    found = {name: configurable[name] for name in names if name in configurable}
    return {"checkpoint_ns": "", **found}
