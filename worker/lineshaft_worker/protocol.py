"""Runs a graph for clients of protocol v2, and turns what it streams into the events of that protocol.

They are those of langgraph's own v3 run stream: the graph's transformers see them and may add channels of their own,
and subgraphs show when they start and end. But that run stream pulls each event in a task, which a cancel leaves
behind; so what it does with langgraph's `StreamMux` is done here. What that takes of langgraph's private parts is
pinned by tests.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph._internal._config import patch_configurable
from langgraph._internal._constants import CONFIG_KEY_STREAM_MESSAGES_V2
from langgraph.pregel.main import _collect_stream_modes, _normalize_stream_transformer_factories
from langgraph.runtime import RunControl
from langgraph.stream._convert import convert_to_protocol_event
from langgraph.stream._mux import StreamMux
from langgraph.stream.transformers import (
    LifecycleTransformer,
    MessagesTransformer,
    SubgraphTransformer,
    TasksTransformer,
    ValuesTransformer,
)

from lineshaft.runs.request import RunSpec

from .graphs import Graph
from .protocol_events import ProtocolRenderer
from .streaming import Event

# What langgraph registers for each v3 run, before the graph's own.
_BUILT_IN = (ValuesTransformer, MessagesTransformer, LifecycleTransformer, SubgraphTransformer)
# Sent for every graph. Those of the transformers come on top: values, messages, tasks (for the lifecycle of subgraphs),
# and what the graph's own ask for.
_ALWAYS = {"updates", "custom", "tools"}


async def stream_protocol_run(
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
    """Run the graph to its end, its next pause or its error, and yield its events, named `<method>|<namespace>...`.

    `masked`: not what exceptions say.

    Raises as `stream_run` does, and what a transformer of the graph raises.
    """
    factories = _normalize_stream_transformer_factories(graph.stream_transformers)
    mux = StreamMux(factories=[*_BUILT_IN, *factories], is_async=True)
    modes: Any = sorted({*_collect_stream_modes(mux), *_ALWAYS})  # the declared type of modes lacks "tools"
    parts = graph.astream(
        graph_input,
        patch_configurable({**config, "run_id": uuid.UUID(run_id)}, {CONFIG_KEY_STREAM_MESSAGES_V2: True}),
        context=context,
        stream_mode=modes,
        subgraphs=True,
        version="v2",
        durability=spec.durability,
        interrupt_before=spec.interrupt_before,
        interrupt_after=spec.interrupt_after,
        control=control,
    )
    # Tasks are noise to nearly everybody: they come only where the graph's author has asked for them.
    shows_tasks = any(isinstance(transformer, TasksTransformer) for transformer in mux._transformers)  # noqa: SLF001 - pinned by a test
    mux.bind_apump(_Pump(parts, mux, shows_tasks=shows_tasks).pull)
    renderer = ProtocolRenderer(masked=masked)
    async with aclosing(parts):  # type: ignore[type-var]  # declared as an iterator only
        try:
            async for event in mux._events:  # noqa: SLF001 - as above
                for rendered in renderer.render(event):
                    yield rendered
        except BaseException as error:
            # Cancelled, or left: what the graph's transformers have begun must not outlive the run.
            if not mux._events._closed:  # noqa: SLF001 - as above
                await mux.afail(error)
            raise


class _Pump:
    """Feeds a mux with what the graph streams, one part for each call."""

    def __init__(self, parts: AsyncIterator[Any], mux: StreamMux, *, shows_tasks: bool) -> None:
        self._parts = parts
        self._mux = mux
        self._shows_tasks = shows_tasks
        self._progress = asyncio.Condition()
        self._pulling = False
        self._over = False

    async def pull(self) -> bool:
        """Bring the next part; False when there is none left.

        A transformer may read a projection from a task of its own: then one pulls, and all go on when that has come.
        """
        async with self._progress:
            if self._over:
                return False
            if self._pulling:
                await self._progress.wait()
                return not self._over
            self._pulling = True
        try:
            await self._step()
        finally:
            self._pulling = False
            async with self._progress:
                self._progress.notify_all()
        return not self._over

    async def _step(self) -> None:
        try:
            try:
                part = await anext(self._parts)
            except StopAsyncIteration:
                self._over = True
                await self._mux.aclose()
                return
            event = convert_to_protocol_event(part)
            await self._mux.apush(event)
            if self._shows_tasks and event["method"] == "tasks":
                self._mux._events.push(event)  # noqa: SLF001 - the transformers before keep it to themselves
        except Exception as error:  # noqa: BLE001 - the mux raises it again, behind all that came before
            self._over = True
            await self._mux.afail(error)
