"""A span for each node that a graph executes, below the one of its run."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from lineshaft.telemetry.tracing import Span

_NODE = "graph:step:"  # the tag that langgraph gives to a node's call, and to nothing in it


def traced(config: RunnableConfig, span: Span) -> RunnableConfig:
    """The config of a graph whose nodes are to be recorded, if the run is."""
    return {**config, "callbacks": [NodeSpans(span)]} if span.is_recorded else config


class NodeSpans(BaseCallbackHandler):
    """Hears of one run. What a node does is in its span's context: users' own spans come below it."""

    run_inline = True  # in the node's own task, in which its span is to be the current one

    def __init__(self, run: Span) -> None:
        self._run = run
        self._above: dict[UUID, Span] = {}  # for each call under way, the span that it is in
        self._nodes: set[UUID] = set()

    def on_chain_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - as above
        inputs: Any,  # noqa: ARG002 - as above
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """A graph, a node, or something in one."""
        above = self._above.get(parent_run_id, self._run) if parent_run_id else self._run
        if any(tag.startswith(_NODE) for tag in tags or ()):
            told = metadata or {}
            node = str(told.get("langgraph_node", ""))
            above = above.child(f"node {node}", node=node, step=int(told.get("langgraph_step", 0)))
            self._nodes.add(run_id)
        self._above[run_id] = above

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - as above
        """It has returned."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - as above
        """It has raised. A pause, and a cancel, are no failures."""
        if isinstance(error, GraphBubbleUp):
            self._end(run_id, paused=True)
        elif isinstance(error, Exception):
            self._end(run_id, error=type(error).__name__)
        else:
            self._end(run_id)

    def _end(self, run_id: UUID, **attributes: Any) -> None:
        span = self._above.pop(run_id, None)
        if span is None or run_id not in self._nodes:
            return
        self._nodes.discard(run_id)
        span.note(**attributes)
        span.end()
