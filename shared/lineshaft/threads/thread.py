"""Threads: a conversation's record, and the store that creates, reads, changes and deletes them."""

import os
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.ids import uuid7
from lineshaft.metadata import accept_metadata
from lineshaft.redis.client import Client
from lineshaft.redis.slices import Allowance
from lineshaft.runs.request import without
from lineshaft.search import index_leaves

from .record import RECORD, ThreadRecord, ThreadStatus, read_record, shown_metadata
from .state import unpack_state
from .ttl import ThreadTtl, Ttl, shown_ttl, ttl_arguments

# Runs deleted in one script call, which takes about a millisecond.
_RUNS_AT_ONCE = 100
# Checkpoints likewise.
_CHECKPOINTS_AT_ONCE = 250
_PRUNED_AT_ONCE = 100  # likewise; each names some values that may go with it
# States that are read at once: each has up to 256 KiB there, and Redis does nothing else meanwhile.
_STATES_AT_ONCE = 16
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
    ttl: ThreadTtl | UnsetType = UNSET  # if it was asked for, and the thread has a lifetime
    extracted: dict[str, Any] | UnsetType = UNSET  # what a search was asked to take out of it


class _State(Struct):
    """The one part of a stored ThreadState that a thread shows."""

    values: Raw = _NULL


class _Interrupt(Struct):
    id: str


_decode_interrupts = msgspec.json.Decoder(dict[str, list[_Interrupt]]).decode


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
        """A new thread, or with `do_nothing` the one that has this id. Raises Conflict, Invalid, TooLarge."""
        thread, _ = await self.obtain(thread_id, metadata, if_exists=if_exists, ttl=ttl)
        return thread

    async def obtain(
        self,
        thread_id: str | None,
        metadata: dict[str, Any] | None,
        *,
        if_exists: Literal["raise", "do_nothing"],
        ttl: Ttl | None,
    ) -> tuple[Thread, bool]:
        """The same; and whether this call has made the thread."""
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
            nonce=os.urandom(6).hex() if thread_id else "",
            **ttl_arguments(ttl or self._client.settings.thread_ttl),
        )
        if created <= 0:
            return await self.get(new_id), created < 0 or thread_id is None
        now = iso(int(created))
        thread = Thread(
            thread_id=new_id,
            created_at=now,
            updated_at=now,
            state_updated_at=now,
            metadata=metadata,
            status="idle",
            config={},
            values=_NULL,
        )
        return thread, True

    async def get(self, thread_id: str, *, with_ttl: bool = False) -> Thread:
        """Raises NotFound."""
        (thread,) = await self.read([thread_id], with_ttl=with_ttl)
        if thread is None:
            raise _unknown(thread_id)
        return thread

    async def questions(self, thread_id: str) -> tuple[ThreadStatus | None, set[str]]:
        """The thread's status, None if there is no such thread; and the ids of the interrupts that it waits with."""
        keys = self._client.keys
        (status,), (stored,) = await self._client.commands(
            ("HMGET", keys.thread(thread_id), "shown"),
            ("HMGET", keys.thread_snapshot(thread_id), "interrupts"),
            atomic=True,
        )
        if status is None:
            return None, set()
        by_task = _decode_interrupts(stored or b"{}") if status == b"interrupted" else {}
        return status.decode(), {interrupt.id for asked in by_task.values() for interrupt in asked}

    async def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        redis, key = self._client.redis, self._client.keys.thread(thread_id)
        return bool(await self._client.patiently(lambda: redis.exists(key), "thread exists"))

    async def patch(self, thread_id: str, metadata: dict[str, Any] | None = None, *, ttl: Ttl | None = None) -> Thread:
        """Merge `metadata` over the thread's, key by key. Raises NotFound, Invalid, TooLarge."""
        changes = accept_metadata(metadata or {})
        while True:
            (record,) = await self.records([thread_id])
            if record is None:
                raise _unknown(thread_id)
            merged = without(accept_metadata({**record.own_metadata, **changes}), _GRAPH)
            updated = await self._client.script(
                "thread_patch",
                thread_id=thread_id,
                expected_version=record.version,
                metadata=_encode(merged),
                leaves=" ".join(index_leaves(merged)),
                graph_id=changes.get("graph_id"),
                **ttl_arguments(ttl),
            )
            if updated:  # else somebody else's change came between; merge into that
                return await self.get(thread_id)

    async def delete(self, thread_id: str) -> None:
        """Delete a thread with its runs, events, messages and checkpoints, even a busy one. Raises NotFound."""
        request = uuid7()
        left = 1
        while left == 1:
            left = await self._client.script("thread_delete", thread_id=thread_id, limit=_RUNS_AT_ONCE, request=request)
        if left:
            await self.dispose(thread_id)

    async def dispose(self, thread_id: str) -> None:
        """Delete what is left of a thread that is gone, so much that it was not done at once."""
        while await self._client.script("thread_dispose", thread_id=thread_id, limit=_CHECKPOINTS_AT_ONCE):
            pass

    async def prune(self, thread_id: str) -> None:
        """Delete all checkpoints of a thread but the latest. Raises NotFound, and Conflict if they are still needed."""
        # The outermost also where there is none: the script says whether there is such a thread.
        namespaces = await self._client.members(self._client.keys.checkpoint_namespaces(thread_id))
        for ns in {b"", *namespaces}:
            while await self._client.script("thread_prune", thread_id=thread_id, ns=ns, limit=_PRUNED_AT_ONCE):
                pass

    async def records(self, ids: list[str]) -> list[ThreadRecord | None]:
        """The records of some threads, None for those that do not exist."""
        if not ids:
            return []
        keys = self._client.keys
        rows = await self._client.commands(*(("HMGET", keys.thread(thread_id), *RECORD) for thread_id in ids))
        return [read_record(fields) for fields in rows]

    async def metadata(self, ids: list[str]) -> list[dict[str, Any] | None]:
        """Only what clients know as the metadata of some threads, None for those that do not exist."""
        if not ids:
            return []
        keys, names = self._client.keys, ("metadata", "graph_id", "assistant_id")
        rows = await self._client.commands(*(("HMGET", keys.thread(thread_id), *names) for thread_id in ids))
        return [shown_metadata(*fields)[1] if fields[0] is not None else None for fields in rows]

    async def read(self, ids: list[str], *, with_state: bool = True, with_ttl: bool = False) -> list[Thread | None]:
        """Some threads, None for those that do not exist. Without state (values, interrupts, error) it reads less.

        Raises TooLarge if their states come to too much.
        """
        if not with_state:
            records = await self.records(ids)
            return [_thread(i, record, None) if record else None for i, record in zip(ids, records, strict=True)]
        found: list[Thread | None] = []
        allowance = Allowance()
        for start in range(0, len(ids), _STATES_AT_ONCE):
            page = await self._read(ids[start : start + _STATES_AT_ONCE], with_ttl=with_ttl)
            allowance.take(sum(len(thread.values) for thread in page if thread))
            found += page
        return found

    async def _read(self, ids: list[str], *, with_ttl: bool) -> list[Thread | None]:
        keys = self._client.keys
        # A transaction, so that a thread is never shown with the status of one run and the values of another.
        answers = await self._client.commands(
            *(("HMGET", keys.thread(thread_id), *RECORD) for thread_id in ids),
            *(("HMGET", keys.thread_snapshot(thread_id), *_SNAPSHOT) for thread_id in ids),
            atomic=True,
        )
        found: list[Thread | None] = []
        for thread_id, fields, snapshot in zip(ids, answers[: len(ids)], answers[len(ids) :], strict=True):
            stored = read_record(fields)
            if stored and snapshot[0]:
                snapshot[0] = await unpack_state(self._client, thread_id, snapshot[0])
            thread = _thread(thread_id, stored, snapshot) if stored else None
            if thread and stored and stored.ttl and with_ttl:
                thread.ttl = shown_ttl(stored.ttl, stored.updated)
            found.append(thread)
        return found


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


def _unknown(thread_id: str) -> NotFound:
    return NotFound(f"Thread with ID {thread_id} not found")
