"""The record of a thread: what is stored of it, but for the state that its last run left."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from .ttl import Ttl, stored_ttl

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
# The fields of a thread's hash that `read_record` takes.
RECORD = [
    "created", "updated", "state_updated", "shown", "metadata", "config", "run_config", "graph_id", "assistant_id",
    "metadata_version", "ttl_minutes", "ttl_strategy",
]  # fmt: skip


class ThreadRecord(Struct):
    """A thread as stored, but for what its last run left."""

    created: int
    updated: int
    state_updated: int
    shown: ThreadStatus
    metadata: dict[str, Any]  # with graph_id and assistant_id
    own_metadata: dict[str, Any]  # without
    config: dict[str, Any]
    version: str
    ttl: Ttl | None


def read_record(fields: list[bytes | None]) -> ThreadRecord | None:
    """The record that a thread's hash holds; None if there is no such thread."""
    created, updated, state_updated, shown, metadata, config, run_config, graph_id, assistant_id, version = fields[:10]
    ttl_minutes, ttl_strategy = fields[10:]
    if created is None:
        return None
    own, with_names = shown_metadata(metadata, graph_id, assistant_id)
    merged_config = msgspec.json.decode(config or b"{}")
    if run_config is not None:
        # What a run configured beyond its tags and limits is the run's own affair and is not shown.
        merged_config = {**merged_config, **msgspec.json.decode(run_config), "configurable": {}}
    return ThreadRecord(
        created=int(created),
        updated=int(updated or created),
        state_updated=int(state_updated or created),
        shown=(shown or b"idle").decode(),  # type: ignore[arg-type]  # scripts write only these
        metadata=with_names,
        own_metadata=own,
        config=merged_config,
        version=(version or b"0").decode(),
        ttl=stored_ttl(ttl_minutes, ttl_strategy),
    )


def shown_metadata(
    metadata: bytes | None, graph_id: bytes | None, assistant_id: bytes | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the client has sent, and what it is shown: with the names that stand beside it."""
    own = msgspec.json.decode(metadata or b"{}")
    names = {"graph_id": graph_id, "assistant_id": assistant_id}
    return own, {**own, **{name: value.decode() for name, value in names.items() if value}}
