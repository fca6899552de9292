"""The state of a thread, as far as it can be told without its graph."""

from msgspec import Struct

from .errors import NotFound
from .redis import Client

# What a thread without checkpoints shows, JSON.
EMPTY_STATE = (
    b'{"values":{},"next":[],"tasks":[],"metadata":null,"created_at":null,"checkpoint":null,'
    b'"parent_checkpoint":null,"interrupts":[],"checkpoint_id":null,"parent_checkpoint_id":null}'
)


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
    return StoredState(graph_id.decode() if graph_id else None, rev is None, state)
