"""An event of protocol v2 before it has its number."""

from typing import NamedTuple

from msgspec import UNSET, UnsetType


class Part(NamedTuple):
    """What one entry of a log says, or one thing of several. Without an `ident` it gets one from its entry."""

    method: str
    namespace: list[str]
    data: bytes  # JSON
    ident: str = ""
    node: str | UnsetType = UNSET


def lifecycle_ident(run_id: str, path: str, status: str) -> str:
    """The id of an event in the life of a run or subgraph: the same whenever it is told."""
    return f"synth:{run_id}:lc|{path}|{status}"


def interrupt_ident(run_id: str, path: str, interrupt_id: str) -> str:
    """The id of the event that tells of an interrupt."""
    return f"synth:{run_id}:input|{path}|{interrupt_id}"
