"""One run as operators see it: its timeline, what became of each attempt, its last events, its error, who has it."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.events.log import EventLog
from lineshaft.redis.client import Client
from lineshaft.redis.slices import whole

from .failures import Failure
from .index import RunIndex, RunRow, redis_time
from .request import RunSpec
from .retries import retry_id

_EVENTS = 50  # the newest of the thread's log until the run's end, of which its own are shown
_LARGEST_INPUT = 1024 * 1024  # bytes that are shown; of a larger one only its size
_FIELDS = (
    "ready", "first_event", "updated", "attempts", "began", "failure", "error", "cancel", "cancelled", "cancel_reason",
    "revision", "webhook", "wrote", "ended", "doc",
)  # fmt: skip


class Timeline(Struct, kw_only=True):
    """When what happened; null for what has not."""

    made_at: str
    due_at: str
    ready_at: str | None  # since when nothing but a free slot was lacking, the last time that it waited
    started_at: str | None
    first_event_at: str | None
    ended_at: str | None


class RunAttempt(Struct, kw_only=True):
    """One claim of the run by a worker. `number` counts those that count: one that was handed back does not."""

    number: int
    worker: str
    host: str
    began_at: str
    ended_at: str | None  # None: it goes on
    # finished, failed, timed out, cancelled; handed back, worker stopped, lacked its graph; worker died, lease lost,
    # could not be ended, lost
    reason: str


class CancelRecord(Struct):
    """Who wanted the run to stop."""

    action: str
    reason: str
    at: str | None


class Lease(Struct):
    """Who holds the run, and until when if it shows no life."""

    worker: str
    host: str
    until: str | None
    seconds_left: float


class RunEvent(Struct, kw_only=True):
    """An event of the run's log. `data` only where the settings allow to show what runs are about."""

    id: str
    event: str
    attempt: int
    bytes: int
    data: Raw | None = None


class RunDetail(Struct, kw_only=True):
    """All that is known of a run."""

    run: RunRow
    timeline: Timeline
    attempts: list[RunAttempt]
    failure: Failure | None  # with its stack
    error: dict[str, Any] | None  # as callers are told
    cancelled: CancelRecord | None
    lease: Lease | None
    revision: str  # of the graph's code that it ran on last
    wrote_checkpoints: bool
    has_webhook: bool
    events: list[RunEvent]  # the newest first
    input_bytes: int | None  # None: it has expired
    input: Raw | None = None  # as `data` of events
    retry_of: str | None = None
    retried_as: str | None = None


async def read_detail(client: Client, run_id: str) -> RunDetail:
    """Raises NotFound: no such run, or its record has gone with its thread."""
    keys = client.keys
    found = await RunIndex(client).rows([run_id])
    if not found:
        raise NotFound(f"Run with ID {run_id} not found")
    row = found[0]
    values = await client.command("HMGET", keys.run(run_id), *_FIELDS)
    fields = {name: value.decode() for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    shows = client.settings.lineshaft_show_content
    attempts = _attempts(fields.get("attempts", ""))
    lease = None
    if row.worker:
        lease = await _lease(client, row.worker)
        began = _time(fields.get("began")) or row.made_at
        number = max(row.attempt, 1)
        attempts.append(
            RunAttempt(
                number=number, worker=row.worker, host=lease.host, began_at=began, ended_at=None, reason="goes on"
            )
        )
    again = retry_id(run_id, fields.get("ended", "0"))
    size, payload = await _input(client, run_id, shows=shows)
    return RunDetail(
        run=row,
        timeline=Timeline(
            made_at=row.made_at,
            due_at=row.due_at,
            ready_at=_time(fields.get("ready")),
            started_at=row.started_at,
            first_event_at=_time(fields.get("first_event")),
            ended_at=row.ended_at,
        ),
        attempts=attempts,
        failure=msgspec.json.decode(fields["failure"], type=Failure) if "failure" in fields else None,
        error=msgspec.json.decode(fields["error"]) if "error" in fields else None,
        cancelled=_cancel(fields),
        lease=lease,
        revision=fields.get("revision", ""),
        wrote_checkpoints=fields.get("wrote") == "1",
        has_webhook="webhook" in fields,
        events=await _events(client, row, fields.get("ended", ""), shows=shows),
        input_bytes=size,
        input=payload,
        retry_of=msgspec.json.decode(fields["doc"], type=RunSpec).retry_of or None if "doc" in fields else None,
        retried_as=again if await client.command("EXISTS", keys.run(again)) else None,
    )


def _attempts(rows: str) -> list[RunAttempt]:
    """The field that lua/lib/attempts.lua writes."""
    found = []
    for text in filter(None, rows.split("\x1e")):
        number, worker, host, began, ended, reason = text.split("\x1f")
        found.append(
            RunAttempt(
                number=int(number),
                worker=worker,
                host=host,
                began_at=iso(int(began)),
                ended_at=iso(int(ended)),
                reason=reason,
            )
        )
    return found


def _cancel(fields: dict[str, str]) -> CancelRecord | None:
    if "cancel" not in fields and "cancelled" not in fields:
        return None
    reason = fields.get("cancel_reason", "")
    return CancelRecord(fields.get("cancel", "interrupt"), reason, _time(fields.get("cancelled")))


async def _lease(client: Client, worker: str) -> Lease:
    until, host = await client.commands(
        ("ZSCORE", client.keys.workers(), worker), ("HGET", client.keys.worker(worker), "host")
    )
    left = (float(until) - await redis_time(client)) / 1000 if until else 0.0
    return Lease(worker, (host or b"").decode(), iso(int(float(until))) if until else None, left)


async def _input(client: Client, run_id: str, *, shows: bool) -> tuple[int | None, Raw | None]:
    key = client.keys.run_input(run_id)
    count, last = await client.commands(("LLEN", key), ("LINDEX", key, -1))
    if not count:
        return None, None
    first = await client.command("LINDEX", key, 0)
    size = len(first) * (count - 1) + len(last)  # all slices but the last are of one size
    return size, Raw(await whole(client, key)) if shows and size <= _LARGEST_INPUT else None


async def _events(client: Client, row: RunRow, ended: str, *, shows: bool) -> list[RunEvent]:
    # Of one that ended long ago there is nothing at the end of the log.
    until = str(int(ended) + 1) if ended else "+"
    entries = await EventLog(client).last(row.thread_id, _EVENTS, until)
    return [
        RunEvent(
            id=entry.id,
            event=entry.event,
            attempt=entry.attempt,
            bytes=len(entry.data),
            data=Raw(entry.data) if shows else None,
        )
        for entry in entries
        if entry.run_id == row.run_id
    ]


def _time(text: str | None) -> str | None:
    return iso(int(float(text))) if text else None
