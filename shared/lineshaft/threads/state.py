"""The state of a thread, as far as it can be told without its graph: how it is stored, and read."""

import os
from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.errors import NotFound, Unavailable
from lineshaft.redis.client import Client
from lineshaft.redis.slices import INLINE_BYTES, cut, whole

# What a thread without checkpoints shows, JSON.
EMPTY_STATE = (
    b'{"values":{},"next":[],"tasks":[],"metadata":null,"created_at":null,"checkpoint":null,'
    b'"parent_checkpoint":null,"interrupts":[],"checkpoint_id":null,"parent_checkpoint_id":null}'
)


def empty_state(thread_id: str, place: dict[str, Any]) -> bytes:
    """What such a thread shows at a checkpoint that was asked for; `place` has the parts of its name."""
    if not place.get("checkpoint_id"):
        return EMPTY_STATE
    checkpoint = {"checkpoint_ns": "", **place, "thread_id": thread_id}
    empty = msgspec.json.decode(EMPTY_STATE)
    return msgspec.json.encode({**empty, "checkpoint": checkpoint, "checkpoint_id": place["checkpoint_id"]})


class StoredState(Struct):
    """What Redis knows of a thread's state."""

    graph_id: str | None
    is_empty: bool  # no checkpoint was ever written
    state: bytes | None  # JSON; None when it is older than the newest checkpoint, and only the graph can tell


async def stored_state(client: Client, thread_id: str) -> StoredState:
    """Read it in one round trip. Raises NotFound."""
    (created, rev, graph_id), snapshot, answer = await client.commands(
        ("HMGET", client.keys.thread(thread_id), "created", "rev", "graph_id"),
        ("HMGET", client.keys.thread_snapshot(thread_id), "rev", "state"),
        ("HMGET", client.keys.thread_answer(thread_id), "rev", "state"),
        atomic=True,
    )
    if created is None:
        raise NotFound(f"Thread with ID {thread_id} not found")
    # Every checkpoint write moves the thread's rev; a stored state says at which one it was taken.
    state = next((found for taken_at, found in (snapshot, answer) if taken_at == rev), None)
    if rev is not None and state is not None:
        state = await unpack_state(client, thread_id, state)
    return StoredState(graph_id.decode() if graph_id else None, rev is None, state)


def pack_state(client: Client, thread_id: str, state: bytes) -> tuple[list[tuple[Any, ...]], bytes]:
    """The commands that bring a large state, and what the script after them stores in its place."""
    if len(state) <= INLINE_BYTES:
        return [], state
    state_id, script = os.urandom(12).hex(), client.scripts["state_slice"]
    rows = [
        script.encode({"thread_id": thread_id, "state_id": state_id, "number": number, "slice": piece})
        for number, piece in enumerate(cut(state))
    ]
    # EVAL, not EVALSHA: a restarted Redis would not know the script, and its source is nothing beside a slice.
    return [("EVAL", script.source, 0, *argv) for argv in rows], f"s{state_id}.{len(state)}".encode()


async def unpack_state(client: Client, thread_id: str, stored: bytes) -> bytes:
    """The state, JSON, for what `pack_state` gave. Raises Unavailable if it was replaced while it was being read."""
    if stored[:1] != b"s":
        return stored
    state_id, _, size = stored[1:].decode().partition(".")
    state = await whole(client, client.keys.thread_state(thread_id, state_id))
    if len(state) != int(size):
        raise Unavailable(f"The state of thread {thread_id} changed while it was read", retry_after=1)
    return state


class _Place(Struct):
    """The parts of a stored state (and of a task in it) that name its thread; others stay as they are."""

    metadata: dict[str, Any] | None = None
    checkpoint: dict[str, Any] | None = None
    parent_checkpoint: dict[str, Any] | None = None


def moved_state(state: bytes, thread_id: str) -> bytes:
    """A stored state as that of another thread."""
    parts = _moved(state, thread_id)
    tasks = msgspec.json.decode(parts.get("tasks", b"[]"), type=list[Raw])
    return msgspec.json.encode({**parts, "tasks": [_moved(task, thread_id) for task in tasks]})


def _moved(part: bytes | Raw, thread_id: str) -> dict[str, Any]:
    parts: dict[str, Any] = msgspec.json.decode(part, type=dict[str, Raw])
    place = msgspec.json.decode(part, type=_Place)
    for name in _Place.__struct_fields__:
        if (named := getattr(place, name)) is not None:
            parts[name] = {**named, "thread_id": thread_id}
    return parts
