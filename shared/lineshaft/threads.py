"""Threads: a conversation's record, and the store that creates, reads, changes and deletes them."""

import os
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from .clock import iso
from .errors import NotFound
from .ids import uuid7
from .metadata import accept_metadata
from .redis import Client
from .run_request import without
from .search import index_leaves

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
# Runs deleted in one script call, which takes about a millisecond.
_RUNS_AT_ONCE = 100
# Stored beside the metadata, where scripts can read it.
_GRAPH = {"graph_id"}
_NULL = Raw(b"null")
_Object = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
_ObjectOrNull = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]

_encode = msgspec.json.encode


class Thread(Struct, kw_only=True):
    """A conversation: what is known about it, and the state that its last run left."""

    thread_id: str
    created_at: str
    updated_at: str
    state_updated_at: str
    metadata: dict[str, Any]
    status: ThreadStatus
    config: dict[str, Any]
    values: _ObjectOrNull
    interrupts: _Object | UnsetType = UNSET  # task id -> its interrupts; absent before the first run
    error: _ObjectOrNull | UnsetType = UNSET  # of the last run; absent before the first run


class Ttl(Struct, kw_only=True):
    """How long a thread is kept, in minutes after its last change."""

    ttl: float
    strategy: Literal["delete", "keep_latest"] = "delete"


class _State(Struct):
    """The one part of a stored ThreadState that a thread shows."""

    values: Raw = _NULL


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


_RECORD = [
    "created", "updated", "state_updated", "shown", "metadata", "config", "run_config", "graph_id", "assistant_id",
    "metadata_version",
]  # fmt: skip
_SNAPSHOT = ["state", "interrupts", "error"]


class ThreadStore:
    """Threads in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create(
        self,
        thread_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        ttl: Ttl | None = None,
    ) -> Thread:
        """A new thread, or with `do_nothing` the one that has this id. Raises Conflict, Invalid."""
        metadata = accept_metadata(metadata or {})
        new_id = thread_id or uuid7()
        created = await self._client.script(
            "thread_create",
            thread_id=new_id,
            metadata=_encode(without(metadata, _GRAPH)),
            leaves=" ".join(index_leaves(metadata)),
            graph_id=metadata.get("graph_id"),
            # An id of our own is new: if it exists, this very call has made it and its answer got lost.
            if_exists=if_exists if thread_id else "do_nothing",
            nonce=os.urandom(6).hex(),
            **_ttl(ttl),
        )
        if created == 0:
            return await self.get(new_id)
        now = iso(int(created))
        return Thread(
            thread_id=new_id,
            created_at=now,
            updated_at=now,
            state_updated_at=now,
            metadata=metadata,
            status="idle",
            config={},
            values=_NULL,
        )

    async def get(self, thread_id: str) -> Thread:
        """Raises NotFound."""
        (thread,) = await self.read([thread_id])
        if thread is None:
            raise _unknown(thread_id)
        return thread

    async def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        redis, key = self._client.redis, self._client.keys.thread(thread_id)
        return bool(await self._client.patiently(lambda: redis.exists(key), "thread exists"))

    async def patch(self, thread_id: str, metadata: dict[str, Any] | None = None, *, ttl: Ttl | None = None) -> Thread:
        """Merge `metadata` over the thread's, key by key. Raises NotFound, Invalid."""
        changes = accept_metadata(metadata or {})
        while True:
            (record,) = await self.records([thread_id])
            if record is None:
                raise _unknown(thread_id)
            merged = without({**record.own_metadata, **changes}, _GRAPH)
            updated = await self._client.script(
                "thread_patch",
                thread_id=thread_id,
                expected_version=record.version,
                metadata=_encode(merged),
                leaves=" ".join(index_leaves(merged)),
                graph_id=changes.get("graph_id"),
                **_ttl(ttl),
            )
            if updated:  # else somebody else's change came between; merge into that
                return await self.get(thread_id)

    async def delete(self, thread_id: str) -> None:
        """Delete a thread with its runs, events, messages and checkpoints, even a busy one. Raises NotFound."""
        while await self._client.script("thread_delete", thread_id=thread_id, limit=_RUNS_AT_ONCE):
            pass

    async def records(self, ids: list[str]) -> list[ThreadRecord | None]:
        """The records of some threads, None for those that do not exist."""
        if not ids:
            return []

        async def read() -> list[list[bytes | None]]:
            pipe = self._client.redis.pipeline(transaction=False)
            for thread_id in ids:
                pipe.hmget(self._client.keys.thread(thread_id), _RECORD)
            answers: list[list[bytes | None]] = await pipe.execute()
            return answers

        return [_record(fields) for fields in await self._client.patiently(read, "thread records")]

    async def read(self, ids: list[str], *, with_state: bool = True) -> list[Thread | None]:
        """Some threads, None for those that do not exist. Without state (values, interrupts, error) it reads less."""
        if not with_state:
            records = await self.records(ids)
            return [_thread(i, record, None) if record else None for i, record in zip(ids, records, strict=True)]

        async def read() -> list[list[bytes | None]]:
            # A transaction, so that a thread is never shown with the status of one run and the values of another.
            pipe = self._client.redis.pipeline(transaction=True)
            for thread_id in ids:
                pipe.hmget(self._client.keys.thread(thread_id), _RECORD)
                pipe.hmget(self._client.keys.thread_snapshot(thread_id), _SNAPSHOT)
            answers: list[list[bytes | None]] = await pipe.execute()
            return answers

        answers = await self._client.patiently(read, "threads")
        found: list[Thread | None] = []
        for i, thread_id in enumerate(ids):
            stored = _record(answers[2 * i])
            found.append(_thread(thread_id, stored, answers[2 * i + 1]) if stored else None)
        return found


def _record(fields: list[bytes | None]) -> ThreadRecord | None:
    created, updated, state_updated, shown, metadata, config, run_config, graph_id, assistant_id, version = fields
    if created is None:
        return None
    own = msgspec.json.decode(metadata or b"{}")
    names = {"graph_id": graph_id, "assistant_id": assistant_id}
    merged_config = msgspec.json.decode(config or b"{}")
    if run_config is not None:
        # What a run configured beyond its tags and limits is the run's own affair and is not shown.
        merged_config = {**merged_config, **msgspec.json.decode(run_config), "configurable": {}}
    return ThreadRecord(
        created=int(created),
        updated=int(updated or created),
        state_updated=int(state_updated or created),
        shown=(shown or b"idle").decode(),  # type: ignore[arg-type]  # scripts write only these
        metadata={**own, **{name: value.decode() for name, value in names.items() if value}},
        own_metadata=own,
        config=merged_config,
        version=(version or b"0").decode(),
    )


def _thread(thread_id: str, record: ThreadRecord, snapshot: list[bytes | None] | None) -> Thread:
    thread = Thread(
        thread_id=thread_id,
        created_at=iso(record.created),
        updated_at=iso(record.updated),
        state_updated_at=iso(record.state_updated),
        metadata=record.metadata,
        status=record.shown,
        config=record.config,
        values=_NULL,
    )
    state, interrupts, error = snapshot or (None, None, None)
    if state is not None or error is not None:
        thread.values = msgspec.json.decode(state, type=_State).values if state else _NULL
        thread.interrupts = Raw(interrupts or b"{}")
        thread.error = Raw(error or b"null")
    return thread


def _ttl(ttl: Ttl | None) -> dict[str, Any]:
    return {"ttl_minutes": ttl.ttl if ttl else "", "ttl_strategy": ttl.strategy if ttl else ""}


def _unknown(thread_id: str) -> NotFound:
    return NotFound(f"Thread with ID {thread_id} not found")
