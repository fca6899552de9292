"""Reads checkpoints out of Redis: one round trip, and more only for what is large."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory, PendingWrite

from lineshaft.errors import Unavailable
from lineshaft.redis.client import Client
from lineshaft.redis.slices import slices_of

from .checkpoint_codec import LARGE, Codec

_PAGE = 20  # checkpoints of one call while listing
_FETCH = 8  # values of one command; each is at most 256 KiB
_ATTEMPTS = 3  # a checkpoint may be deleted between the parts of one read; three times in a row is something else


class Row(NamedTuple):
    """One checkpoint as the scripts answer it (lib/checkpoint_rows.lua)."""

    id: bytes
    header: bytes
    anatomy: bytes
    values: list[bytes | None]
    write_fields: list[bytes]
    writes: list[bytes]

    @property
    def parent_id(self) -> str:
        """The parent's id, or ""."""
        return self.anatomy.partition(b"\1")[0].decode()

    @property
    def names(self) -> list[bytes]:
        """The names of all its values."""
        return self.anatomy.split(b"\1")[2:]


class Gone(Exception):
    """A checkpoint vanished while it was being read in parts; never leaves this module."""


class Reader:
    """Reads with one codec."""

    def __init__(self, client: Client, codec: Codec) -> None:
        self._client = client
        self._codec = codec

    async def get(self, thread_id: str, ns: str, checkpoint_id: str) -> CheckpointTuple | None:
        """One checkpoint, the latest if `checkpoint_id` is empty."""
        for _ in range(_ATTEMPTS):
            answer = await self._client.script(
                "checkpoint_get", thread_id=thread_id, ns=ns, checkpoint_id=checkpoint_id
            )
            if not answer:
                return None
            try:
                return await self._read(thread_id, ns, Row(*answer), {})
            except Gone:
                continue
        raise Unavailable(f"The state of thread {thread_id} is being removed")

    async def pages(
        self, thread_id: str, ns: str, before: str, limit: int | None
    ) -> AsyncIterator[list[tuple[Row, dict[str, Any]]]]:
        """Checkpoints with their metadata, newest first, in pages; `read_page` turns those of interest into tuples."""
        size = _PAGE if limit is None else min(_PAGE, limit)
        while True:
            answer = await self._client.script("checkpoint_list", thread_id=thread_id, ns=ns, before=before, limit=size)
            rows = [Row(*row) for row in answer if row]
            yield [(row, self._codec.unpack(row.header)[1]) for row in rows]
            if len(answer) < size or not rows:
                return
            before = rows[-1].id.decode()

    async def read_page(self, thread_id: str, ns: str, rows: Iterable[Row]) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of these rows, but for those that vanished meanwhile."""
        known: dict[bytes, bytes | None] = {}  # neighbours share most of their values
        for row in rows:
            try:
                yield await self._read(thread_id, ns, row, known)
            except Gone:
                continue

    async def history(
        self, thread_id: str, ns: str, checkpoint_id: str, channels: Sequence[str]
    ) -> dict[str, DeltaChannelHistory]:
        """What the ancestors of a checkpoint wrote to these channels, back to the nearest stored value of each."""
        try:
            return await self._walk(thread_id, ns, checkpoint_id, channels)
        except Gone:
            raise Unavailable(f"The state of thread {thread_id} is being removed") from None

    async def _walk(
        self, thread_id: str, ns: str, checkpoint_id: str, channels: Sequence[str]
    ) -> dict[str, DeltaChannelHistory]:
        writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}  # newest first
        seeds: dict[str, Any] = {}
        while left := [channel for channel in channels if channel not in seeds]:
            stopped, ancestors = await self._client.script(
                "checkpoint_history", thread_id=thread_id, ns=ns, checkpoint_id=checkpoint_id, channels=left
            )
            for flat, found in ancestors:
                packed = await self._whole(thread_id, flat[1::2])
                for write in reversed(self._codec.unpack_writes(flat[::2], packed)):
                    writes[write[1]].append(write)
                values = await self._whole(thread_id, found[1::2])
                seeds.update(
                    (channel.decode(), self._codec.unpack(value))
                    for channel, value in zip(found[::2], values, strict=True)
                )
            if not stopped:
                break
            checkpoint_id = stopped.decode()
        result: dict[str, DeltaChannelHistory] = {}
        for channel in channels:
            result[channel] = {"writes": writes[channel][::-1]}
            if channel in seeds:
                result[channel]["seed"] = seeds[channel]
        return result

    async def _read(self, thread_id: str, ns: str, row: Row, known: dict[bytes, bytes | None]) -> CheckpointTuple:
        names = row.names
        values, writes = row.values, row.writes
        if len(values) < len(names) or len(writes) < len(row.write_fields):
            values, writes = await self._rest(thread_id, ns, row, names, known)
        if any(value is not None and value[:1] == LARGE for value in (*values, *writes)):
            values = await self._whole(thread_id, values)
            writes = await self._whole(thread_id, writes)
        unpack = self._codec.unpack
        checkpoint, metadata = unpack(row.header)
        checkpoint["channel_values"] = {
            name[: name.index(b"\0")].decode(): unpack(value)
            for name, value in zip(names, values, strict=True)
            if value is not None
        }
        return CheckpointTuple(
            config_of(thread_id, ns, row.id.decode()),
            checkpoint,
            metadata,
            config_of(thread_id, ns, row.parent_id) if row.parent_id else None,
            self._codec.unpack_writes(row.write_fields, writes),
        )

    async def _rest(
        self, thread_id: str, ns: str, row: Row, names: list[bytes], known: dict[bytes, bytes | None]
    ) -> tuple[list[bytes | None], list[bytes]]:
        """All values and writes of a row that came without some of them. Raises Gone."""
        keys, redis = self._client.keys, self._client.redis
        known.update(zip(names, row.values, strict=False))
        missing = [name for name in names if name not in known]
        fields = row.write_fields[len(row.writes) :]
        fetches = [
            (keys.checkpoint_blobs(thread_id, ns), missing[i : i + _FETCH]) for i in range(0, len(missing), _FETCH)
        ]
        writes_key = keys.checkpoint_writes(thread_id, ns, row.id.decode())
        fetches += [(writes_key, fields[i : i + _FETCH]) for i in range(0, len(fields), _FETCH)]
        headers = keys.checkpoint_headers(thread_id, ns)

        async def fetch() -> list[Any]:
            pipe = redis.pipeline(transaction=False)
            for key, wanted in fetches:
                pipe.execute_command("HMGET", key, *wanted)
            # Values go with or after their last header: if that is still there, none was missed.
            pipe.execute_command("HEXISTS", headers, row.id)
            return await pipe.execute()

        *parts, exists = await self._client.patiently(fetch, "checkpoint values")
        flat = [value for part in parts for value in part]
        found, writes = flat[: len(missing)], [*row.writes, *flat[len(missing) :]]
        if not exists or None in writes:
            raise Gone
        known.update(zip(missing, found, strict=True))
        return [known[name] for name in names], writes

    async def _whole(self, thread_id: str, values: Sequence[Any]) -> list[Any]:
        """The values with references replaced by what they name. Raises Gone."""
        return [await self._large(thread_id, v) if v is not None and v[:1] == LARGE else v for v in values]

    async def _large(self, thread_id: str, reference: bytes) -> bytes:
        prefix, _, value_id = reference[1:].rpartition(b"\0")
        key = self._client.keys.checkpoint_large(thread_id, value_id.decode())

        async def fetch() -> list[bytes | None]:
            pipe = self._client.redis.pipeline(transaction=False)
            for number in slices_of(value_id):
                pipe.execute_command("HGET", key, number)
            return await pipe.execute()

        slices = await self._client.patiently(fetch, "large checkpoint value")
        whole = b"".join(piece for piece in slices if piece is not None)
        if None in slices:
            raise Gone
        return whole[:1] + prefix + whole[1:]


def config_of(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    """The config that names one checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
