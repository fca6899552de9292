"""Whether a thread waits for a node that its graph does not have any more: the graph was changed meanwhile.

langgraph passes such a node by, and the run would end well with a step left out.
"""

from collections.abc import Iterator
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Send

from lineshaft.errors import GraphChanged

from .graphs import Graph
from .levels import Level


def check_nodes(graph_id: str, levels: list[Level]) -> None:
    """Raises GraphChanged if a graph or subgraph is to go on with a node that it lacks."""
    for level in levels:
        if level.graph is not None:
            check_head(graph_id, level.graph, level.saved)


def check_head(graph_id: str, graph: Graph, saved: CheckpointTuple) -> None:
    """The same for one graph and its head."""
    missing = sorted({node for node in _next_nodes(saved) if node not in graph.nodes})
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise GraphChanged(
            f"The thread is to go on with {names}, which graph {graph_id!r} does not have any more. Its state is as it"
            " was: deploy a version of the graph that has it, or go on from an earlier checkpoint."
        )


def _next_nodes(saved: CheckpointTuple) -> Iterator[str]:
    """The nodes that a checkpoint, or what finished tasks of the step under way have written, calls for."""
    checkpoint = saved.checkpoint
    stored: list[tuple[str, Any]] = [
        *checkpoint["channel_values"].items(),
        *((channel, value) for _, channel, value in saved.pending_writes or ()),
    ]
    for channel, value in stored:
        # Names of langgraph's own channels, as StateGraph makes them; a node's name has no colon.
        kind, _, rest = channel.partition(":")
        if kind in {"branch", "join"} and rest:
            yield rest.rpartition(":")[2]
        elif channel == TASKS:
            sends = value if isinstance(value, list) else [value]
            yield from (send.node for send in sends if isinstance(send, Send))
