"""What one run knows of its thread's state because it wrote it: the rev, and the latest checkpoint.

After a run its state is wanted once more (for the snapshot), and reading and decoding it would cost more than a small
run itself.
"""

from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    writes_sort_key,
)

from .checkpoint_reader import config_of


@dataclass
class _Head:
    """The latest checkpoint in the root namespace of the run's thread, as it was put."""

    thread_id: str
    parent_id: str
    checkpoint: Checkpoint
    metadata: CheckpointMetadata


@dataclass
class RunHead:
    """Shared by all copies of a run's checkpointer: langgraph works on a copy of the one it is given.

    The values are the objects the graph works with, not copies decoded from what was stored. They are what was put as
    long as the graph does not change a state in place, which langgraph forbids.
    """

    run_id: str = ""
    token: str = ""
    rev: int = 0  # the thread's, after the last checkpoint write of this run; 0 before the first
    _head: _Head | None = None
    # Checkpoint id -> (task, index) -> (rev, sort key, write). Writes may be stored before their checkpoint is.
    _writes: dict[str, dict[tuple[str, int], tuple[int, tuple[str, str, int], PendingWrite]]] = field(
        default_factory=dict
    )

    def put(
        self, thread_id: str, parent_id: str, checkpoint: Checkpoint, metadata: CheckpointMetadata, is_latest: bool
    ) -> None:
        """Remember a checkpoint of the root namespace that has been stored."""
        self._head = _Head(thread_id, parent_id, checkpoint, metadata) if is_latest else None
        # Only the head's are asked for, and those of a successor whose put is still under way.
        self._writes = {id_: writes for id_, writes in self._writes.items() if id_ >= checkpoint["id"]}

    def put_writes(
        self, checkpoint_id: str, writes: list[tuple[int, str, Any]], task_id: str, task_path: str, rev: int
    ) -> None:
        """Remember writes (index, channel, value) in the root namespace that have been stored."""
        known = self._writes.setdefault(checkpoint_id, {})
        for index, channel, value in writes:
            old = known.get((task_id, index))
            # The rev tells in which order they were stored. Special writes (index < 0) replace, else the first stands.
            if old is None or (index < 0) == (rev > old[0]):
                key = writes_sort_key(task_path, task_id, index)
                # An exception is stored as its text.
                shown = repr(value) if isinstance(value, BaseException) else value
                known[task_id, index] = (rev, key, (task_id, channel, shown))

    def forget(self) -> None:
        """Something else has changed the state."""
        self._head = None
        self._writes.clear()

    def get(self, thread_id: str, checkpoint_id: str) -> CheckpointTuple | None:
        """The head, if it is the checkpoint asked for (`""` asks for the latest)."""
        head = self._head
        if head is None or head.thread_id != thread_id or checkpoint_id not in ("", head.checkpoint["id"]):
            return None
        checkpoint, id_ = head.checkpoint, head.checkpoint["id"]
        versions = checkpoint["channel_versions"]
        copy: Any = {
            **checkpoint,
            "channel_values": {k: v for k, v in checkpoint["channel_values"].items() if k in versions},
            "channel_versions": versions.copy(),
            "versions_seen": {node: seen.copy() for node, seen in checkpoint["versions_seen"].items()},
        }
        writes = sorted(self._writes.get(id_, {}).values(), key=lambda write: write[1])
        return CheckpointTuple(
            config_of(thread_id, "", id_),
            copy,
            head.metadata.copy(),
            config_of(thread_id, "", head.parent_id) if head.parent_id else None,
            [write for _, _, write in writes],
        )


def index_of(channel: str, position: int) -> int:
    """Where a write is kept: special channels have a place of their own."""
    return WRITES_IDX_MAP.get(channel, position)
