"""Our checkpointer: a graph's state in plain Redis, every write of a run fenced by its token.

Layout and scripts: `lineshaft/redis/keys.py` and `lineshaft/lua/checkpoint_*.lua`; the bytes: `checkpoint_codec.py`.
"""

import copy
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from typing_extensions import override

from lineshaft.errors import Fenced, Invalid
from lineshaft.redis.client import Client
from lineshaft.redis.slices import slices_of
from lineshaft.search import contains

from .checkpoint_codec import Codec, Parcel, anatomy, value_name
from .checkpoint_reader import Reader, config_of
from .run_head import RunHead, index_of
from .run_metrics import CHECKPOINT_BYTES
from .serde import serializer
from .synchronous import SynchronousSaver

_BATCH = 100  # checkpoints that one script removes: a few ms of Redis


class RedisSaver(SynchronousSaver):
    """For one event loop and its thread. The synchronous methods are for nodes' threads and work through that loop."""

    def __init__(self, client: Client, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde or serializer())
        self._client = client
        self._run = RunHead()
        # Its own generator: the user's code may seed the global one, and then versions of two forks would be equal.
        self._random = random.Random()
        self._codecs: dict[frozenset[tuple[str, ...]], Codec] = {frozenset(): Codec(self.serde)}
        self._use_codec(frozenset())

    def for_run(self, run_id: str, token: str) -> "RedisSaver":
        """A copy that knows its thread's rev, and whose writes are refused (Fenced) once `token` is not the run's."""
        clone = copy.copy(self)
        clone._run = RunHead(run_id, token)  # noqa: SLF001 - its own class
        return clone

    @property
    def rev(self) -> int:
        """The thread's rev after this run's last checkpoint write; 0 if it has written none."""
        return self._run.rev

    @override
    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> "RedisSaver":
        """A copy that also rebuilds these classes; langgraph asks for one at every use of a graph, hence the cache."""
        allowed = self._allowed.union(extra_allowlist)
        if allowed == self._allowed:
            return self
        if allowed not in self._codecs:
            self._codecs[allowed] = Codec(super().with_allowlist(extra_allowlist).serde)
        clone = copy.copy(self)
        clone._use_codec(allowed)  # noqa: SLF001 - its own class
        return clone

    def _use_codec(self, allowed: frozenset[tuple[str, ...]]) -> None:
        self._allowed = allowed
        self._codec = self._codecs[allowed]
        self.serde = self._codec.serde
        self._reader = Reader(self._client, self._codec)

    @override
    def get_next_version(self, current: str | float | None, channel: None = None) -> str:
        """Counts up, with a random suffix: two forks that both write a channel never share a version."""
        count = int(current.split(".")[0], 16) if isinstance(current, str) else int(current or 0)
        return f"{count + 1:08x}.{self._random.getrandbits(32):08x}"

    # writing
    @override
    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint with the values of `new_versions`. Raises Fenced, TooLarge."""
        thread_id, ns, parent_id = _place(config)
        metadata = get_checkpoint_metadata(config, metadata)
        stored: dict[str, Any] = {**checkpoint}
        values = stored.pop("channel_values")
        parcel = Parcel(self._client, thread_id)
        header = self._codec.pack((stored, metadata))
        named: list[str | bytes] = []
        for channel, version in new_versions.items():
            if channel in values:
                named.append(value_name(channel, version))
                named.append(parcel.add(self._codec.pack(values[channel])))
        CHECKPOINT_BYTES.observe(len(header) + parcel.size)
        names = [f"{channel}\0{version}" for channel, version in checkpoint["channel_versions"].items()]
        run = self._run
        rev, is_latest = await self._write(
            parcel,
            "checkpoint_put",
            owner=run.run_id or metadata.get("run_id"),
            thread_id=thread_id,
            ns=ns,
            checkpoint_id=checkpoint["id"],
            header=header,
            anatomy_text=anatomy(parent_id, "counters_since_delta_snapshot" in metadata, names),
            values=named,
        )
        if run.token:
            run.rev = max(run.rev, rev)
            if ns == "":
                run.put(thread_id, parent_id, checkpoint, metadata, bool(is_latest))
        return config_of(thread_id, ns, checkpoint["id"])

    @override
    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote, before the step is done. Raises Fenced, TooLarge."""
        if not writes:
            return
        thread_id, ns, checkpoint_id = _place(config)
        parcel = Parcel(self._client, thread_id)
        packed: list[int | str | bytes] = []
        placed = [(index_of(channel, position), channel, value) for position, (channel, value) in enumerate(writes)]
        for index, channel, value in placed:
            prefix = f"{task_path}\0{channel}\0".encode()
            packed += (index >= 0, f"{task_id}\0{index}", parcel.add(self._codec.pack(value, prefix), prefix))
        run = self._run
        rev = await self._write(
            parcel, "checkpoint_put_writes", thread_id=thread_id, ns=ns, checkpoint_id=checkpoint_id, writes=packed
        )
        if run.token:
            run.rev = max(run.rev, rev)
            if ns == "":
                run.put_writes(checkpoint_id, placed, task_id, task_path, rev)

    async def _write(self, parcel: Parcel, script: str, **args: Any) -> Any:
        run, commands = self._run, parcel.commands
        args |= {"run_id": run.run_id, "token": run.token}
        try:
            if commands:
                return await self._client.after(commands, script, **args)
            return await self._client.script(script, **args)
        except Fenced:
            run.forget()
            raise

    # reading
    @override
    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread_id, ns, checkpoint_id = _place(config)
        if ns == "" and (head := self._run.get(thread_id, checkpoint_id)):
            return head
        return await self._reader.get(thread_id, ns, checkpoint_id)

    @override
    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of one thread, newest first. Raises Invalid without a thread: no scan of everything."""
        if config is None:
            raise Invalid("Listing checkpoints needs a thread_id")
        thread_id = str(config["configurable"]["thread_id"])
        ns = config["configurable"].get("checkpoint_ns")
        only = get_checkpoint_id(config)
        older = (get_checkpoint_id(before) if before else None) or ""
        if only:
            found = await self.aget_tuple(config)
            if found and _matches(found.metadata, filter) and (not older or only < older) and limit != 0:
                yield found
            return
        for space in [ns] if ns is not None else await self._namespaces(thread_id):
            pages = self._reader.pages(thread_id, space, older, None if filter else limit)
            async for page in pages:
                rows = [row for row, metadata in page if _matches(metadata, filter)]
                async for found in self._reader.read_page(thread_id, space, rows[:limit]):
                    yield found
                    limit = None if limit is None else limit - 1
                if limit is not None and limit <= 0:
                    return

    async def _namespaces(self, thread_id: str) -> list[str]:
        found = await self._client.members(self._client.keys.checkpoint_namespaces(thread_id))
        return sorted(ns.decode() for ns in found)

    @override
    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self._reader.history(*_place(config), channels)

    # removing and copying
    @override
    async def adelete_thread(self, thread_id: str) -> None:
        self._run.forget()
        while await self._client.script("checkpoint_delete", thread_id=thread_id, limit=_BATCH):
            pass

    async def rollback(self, run_id: str) -> None:
        """Take back all that a run wrote: its checkpoints, and its writes on checkpoints of others.

        Raises Fenced, and Conflict if later checkpoints are built upon the run's (DeltaChannel).
        """
        self._run.forget()
        args = {"run_id": self._run.run_id, "token": self._run.token, "target": run_id, "limit": _BATCH}
        while await self._client.script("checkpoint_rollback", **args, members=[]):
            own = await self._client.members(self._client.keys.run_checkpoints(run_id))
            own.sort(key=lambda member: member.rpartition(b"\0")[2], reverse=True)
            for start in range(0, len(own), _BATCH):
                await self._client.script("checkpoint_rollback", **args, members=own[start : start + _BATCH])

    @override
    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            await self.rollback(run_id)

    @override
    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread's checkpoints, oldest first, in place of those that the target has."""
        if source_thread_id == target_thread_id:
            return
        await self.adelete_thread(target_thread_id)
        keys, script = self._client.keys, self._client.script
        place = {"source": source_thread_id, "target": target_thread_id}
        for value_id in await self._client.members(keys.checkpoint_large_ids(source_thread_id)):
            for number in slices_of(value_id):
                await script("checkpoint_copy_slice", **place, value_id=value_id, number=number)
        for ns in await self._namespaces(source_thread_id):
            after = b""
            while after := await script("checkpoint_copy", **place, ns=ns, after=after, limit=_BATCH):
                pass

    @override
    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep the latest checkpoint per namespace, or none (`delete`). Raises Conflict for DeltaChannel threads."""
        self._run.forget()
        for thread_id in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread_id)
                continue
            for ns in await self._namespaces(thread_id):
                while await self._client.script("checkpoint_prune", thread_id=thread_id, ns=ns, limit=_BATCH):
                    pass


def _place(config: RunnableConfig) -> tuple[str, str, str]:
    """Thread id, namespace and checkpoint id (or "") that a config names."""
    place = config["configurable"]
    return str(place["thread_id"]), place.get("checkpoint_ns", ""), place.get("checkpoint_id") or ""


def _matches(metadata: Mapping[str, Any], wanted: dict[str, Any] | None) -> bool:
    return not wanted or contains(metadata, wanted)
