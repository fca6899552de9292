"""The state of a thread as clients see it, made from langgraph's snapshot."""

from typing import Any, Literal

from langgraph.types import PregelTask, StateSnapshot

from .encoding import interrupt, to_json
from .failure import NEUTRAL
from .streaming import place


def thread_state(snapshot: StateSnapshot, *, masked: bool = False) -> bytes:
    """A ThreadState in JSON; `masked` without what the exceptions of its tasks say."""
    return to_json(_state(snapshot, masked))


def thread_interrupts(snapshot: StateSnapshot) -> bytes:
    """`{task id: [{"id", "value"}]}` of the tasks that wait for an answer, in JSON."""
    return to_json({t.id: [interrupt(i) for i in t.interrupts] for t in snapshot.tasks if t.interrupts})


def thread_status(snapshot: StateSnapshot) -> Literal["interrupted", "idle"]:
    """A thread is interrupted as long as something comes next: a pause, a breakpoint, a cancelled run."""
    return "interrupted" if snapshot.next else "idle"


def exists(snapshot: StateSnapshot) -> bool:
    """Whether there is a checkpoint at all; an empty thread's snapshot has none."""
    return snapshot.created_at is not None


def _state(snapshot: StateSnapshot, masked: bool) -> dict[str, Any]:
    # A checkpoint that was asked for by its id is named also where there is none.
    named = "checkpoint_id" in snapshot.config["configurable"]
    checkpoint = place(snapshot.config) if named or exists(snapshot) else None
    parent = place(snapshot.parent_config)
    metadata = None
    if snapshot.metadata is not None:
        metadata = {name: value for name, value in snapshot.metadata.items() if not name.startswith("__")}
        # Checkpointers leave it out, since it is part of the checkpoint's place.
        metadata["thread_id"] = snapshot.config["configurable"]["thread_id"]
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(task, masked) for task in snapshot.tasks],
        "metadata": metadata,
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [interrupt(i) for i in snapshot.interrupts],
        # Older clients read these two.
        "checkpoint_id": checkpoint and checkpoint.get("checkpoint_id"),
        "parent_checkpoint_id": parent and parent.get("checkpoint_id"),
    }


def _task(task: PregelTask, masked: bool) -> dict[str, Any]:
    state, checkpoint = None, None
    if isinstance(task.state, StateSnapshot):
        state = _state(task.state, masked)
    elif task.state:
        checkpoint = place(task.state)
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": task.error and _text(task.error, masked),
        "interrupts": [interrupt(i) for i in task.interrupts],
        "checkpoint": checkpoint,
        "state": state,
        "result": task.result,
    }


def _text(error: Exception | str, masked: bool) -> str:
    if masked:
        return NEUTRAL["message"]
    return error if isinstance(error, str) else repr(error)
