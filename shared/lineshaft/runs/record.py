"""The fields of a run's hash that answers are made of."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from .request import RunSpec

RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
TERMINAL = ("success", "error", "timeout", "interrupted")

_decode_spec = msgspec.json.Decoder(RunSpec).decode


class RunRecord(Struct):
    """A run as stored, but for its input."""

    thread: str
    graph: str
    assistant: str
    status: str
    created: int  # ms, the time it is due
    updated: int  # ms
    position: str  # the thread's newest log entry when the run was created
    resumable: bool
    spec: RunSpec
    assistant_doc: bytes
    thread_metadata: bytes
    cancel: str = ""  # the action asked for
    first: str = ""  # its first log entry: it has begun
    wrote: bool = False  # it has written checkpoints
    protocol_v2: bool = False  # its events are those of protocol v2

    @property
    def is_active(self) -> bool:
        """Whether it still waits, runs, or is being stopped."""
        return self.status not in TERMINAL

    def metadata_of_thread(self) -> dict[str, Any]:
        """The thread's when the run was created: all that is left of it where that has gone."""
        return {**msgspec.json.decode(self.thread_metadata), "graph_id": self.graph}

    @property
    def visible_status(self) -> RunStatus:
        """What clients see: a run that is being cancelled has ended for them."""
        return "interrupted" if self.cancel else self.status  # type: ignore[return-value]  # scripts write only these


FIELDS = (
    "thread", "graph", "assistant", "status", "cancel", "created", "updated", "first", "position", "wrote", "doc",
    "amd", "tmd", "protocol",
)  # fmt: skip


def read_record(fields: list[bytes | None]) -> RunRecord | None:
    """The record that these FIELDS are; None if there is no such run, or if it is being rolled back."""
    thread, graph, assistant, status, cancel, created, updated, first, position, wrote, doc, amd, tmd, protocol = fields
    if status is None or doc is None or cancel == b"rollback":
        return None
    spec = _decode_spec(doc)
    return RunRecord(
        thread=_text(thread),
        graph=_text(graph),
        assistant=_text(assistant),
        status=_text(status),
        cancel=_text(cancel),
        created=int(created or 0),
        updated=int(updated or 0),
        first=_text(first),
        position=_text(position),
        resumable=spec.resumable,
        wrote=wrote == b"1",
        protocol_v2=protocol == b"v2",
        spec=spec,
        assistant_doc=amd or b"{}",
        thread_metadata=tmd or b"{}",
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
