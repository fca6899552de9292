"""The checkpointer for synchronous code: graphs invoked inside plain function nodes, which run in threads."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from typing_extensions import override

from .bridge import Bridge


class SynchronousSaver(BaseCheckpointSaver[str]):
    """Answers the synchronous methods with the asynchronous ones, on the event loop where the saver was made."""

    def __init__(self, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self._bridge = Bridge()

    @override
    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._bridge.call(self.aget_tuple, config)

    @override
    def list(self, config: RunnableConfig | None, **options: Any) -> Iterator[CheckpointTuple]:
        async def alist() -> Sequence[CheckpointTuple]:
            return [found async for found in self.alist(config, **options)]

        yield from self._bridge.call(alist)

    @override
    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._bridge.call(self.aput, config, checkpoint, metadata, new_versions)

    @override
    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._bridge.call(self.aput_writes, config, writes, task_id, task_path)

    @override
    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._bridge.call(self.aget_delta_channel_history, config=config, channels=channels)

    @override
    def delete_thread(self, thread_id: str) -> None:
        self._bridge.call(self.adelete_thread, thread_id)

    @override
    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._bridge.call(self.adelete_for_runs, run_ids)

    @override
    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._bridge.call(self.acopy_thread, source_thread_id, target_thread_id)

    @override
    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._bridge.call(self.aprune, thread_ids, strategy=strategy)
