"""Errors of runs that failed lately, grouped by their class and by where in the code they came from."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.redis.client import Client

_LOOKED_AT = 2_000  # of the newest failed runs; their stacks have up to 20 kB each
_AT_ONCE = 100
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


class ErrorGroup(Struct, kw_only=True):
    """Runs that failed alike."""

    error_class: str
    place: str  # the innermost line of the stack, as `graph.py:12 in node`; '' without a stack
    count: int
    first_at: str  # of those that were looked at
    last_at: str
    last_run: str
    last_message: str
    graphs: list[str]


async def group_errors(client: Client) -> list[ErrorGroup]:
    """The commonest first, of the newest failed runs that are kept."""
    groups: dict[tuple[str, str], ErrorGroup] = {}
    for start in range(0, _LOOKED_AT, _AT_ONCE):
        flat = await client.command("ZREVRANGE", client.keys.runs_failed(), start, start + _AT_ONCE - 1, "WITHSCORES")
        ids = [name.decode() for name in flat[::2]]
        if not ids:
            break
        rows = await client.commands(
            *(("HMGET", client.keys.run(i), "error_class", "graph", "failure", "error") for i in ids)
        )
        for run_id, ended, (kind, graph, failure, told) in zip(ids, flat[1::2], rows, strict=True):
            if graph is not None:
                text = (kind or b"").decode() or "unknown"
                _add(groups, text, graph.decode(), failure or told, run_id, int(float(ended)))
        if len(ids) < _AT_ONCE:
            break
    return sorted(groups.values(), key=lambda group: (-group.count, group.error_class, group.place))


def _add(  # noqa: PLR0917 - a run's error, and where it belongs
    groups: dict[tuple[str, str], ErrorGroup], kind: str, graph: str, failure: bytes | None, run_id: str, ended: int
) -> None:
    message, place = "", ""
    if failure:
        fields = msgspec.json.decode(failure, type=dict[str, Any])
        message, place = str(fields.get("message", "")), top_frame(str(fields.get("stack", "")))
    group = groups.get((kind, place))
    if group is None:
        # The newest comes first.
        group = groups[kind, place] = ErrorGroup(
            error_class=kind, place=place, count=0, first_at="", last_at=iso(ended), last_run=run_id,
            last_message=message[:500], graphs=[],
        )  # fmt: skip
    group.count += 1
    group.first_at = iso(ended)
    if graph not in group.graphs:
        group.graphs.append(graph)


def top_frame(stack: str) -> str:
    """The innermost frame that a stack tells."""
    frames = _FRAME.findall(stack)
    if not frames:
        return ""
    file, line, function = frames[-1]
    return f"{file.rpartition('/')[2]}:{line} in {function}"
