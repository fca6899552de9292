"""Whether a graph stands at a breakpoint that its run has reached.

To a second attempt, langgraph would pass it: input `None` means "go on past the breakpoint".
"""

from types import SimpleNamespace
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import TASKS
from langgraph.pregel._algo import should_interrupt  # private: pinned by a test

from .graphs import Graph
from .levels import OUTSIDE, Level

Nodes = Literal["*"] | list[str] | None


async def at_breakpoint(
    saver: BaseCheckpointSaver[Any], levels: list[Level], run_id: str, before: Nodes, after: Nodes
) -> bool:
    """Whether this run has stopped at a breakpoint: one that it brings, or one compiled into any graph."""
    for level in levels:
        # Where the head is another run's, this run was started to go on from there.
        if level.graph is None or level.saved.metadata.get("run_id") != run_id:
            continue
        brought = (before, after) if level.ns == "" else (None, None)
        if await _holds(saver, level, level.graph, *brought):
            return True
    return False


async def _holds(saver: BaseCheckpointSaver[Any], level: Level, graph: Graph, before: Nodes, after: Nodes) -> bool:
    checkpoint, metadata = level.saved.checkpoint, level.saved.metadata
    before_nodes = before or graph.interrupt_before_nodes
    if before_nodes and should_interrupt(checkpoint, before_nodes, _stand_ins(graph, set(level.nodes.values()))):
        return True
    after_nodes = after or graph.interrupt_after_nodes
    # Other checkpoints than a step's (an input's, a fork's) have no nodes that ran.
    if not after_nodes or metadata.get("source") != "loop":
        return False
    return bool(should_interrupt(checkpoint, after_nodes, _stand_ins(graph, await _ran(saver, level))))


async def _ran(saver: BaseCheckpointSaver[Any], level: Level) -> set[str]:
    """The nodes that ran between the parent checkpoint and this one."""
    checkpoint = level.saved.checkpoint
    seen, versions, values = (checkpoint[name] for name in ("versions_seen", "channel_versions", "channel_values"))
    parent = await saver.aget_tuple(level.saved.parent_config) if level.saved.parent_config else None
    if parent is None:
        return set(seen)
    seen_before = parent.checkpoint["versions_seen"]
    ran = {node for node, versions in seen.items() if seen_before.get(node) != versions}
    # A node that a Send started has read no channel.
    sends = list(parent.checkpoint["channel_values"].get(TASKS) or ())
    sends += [value for task, channel, value in parent.pending_writes or () if (task, channel) == (OUTSIDE, TASKS)]
    if not sends and not values.get(TASKS) and versions.get(TASKS) == max(versions.values()):
        # Sends were used up in the last step, and the parent is older (durability exit): any of them may have been one.
        ran |= {node for node, read in seen.items() if not read}
    return ran | {send.node for send in sends}


def _stand_ins(graph: Graph, names: set[str]) -> Any:
    """What `should_interrupt` looks at of a task: its node's name and tags."""
    nodes = graph.nodes
    return [SimpleNamespace(name=name, config={"tags": nodes[name].tags or []}) for name in names if name in nodes]
