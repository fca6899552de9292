"""Crons as operators see them: when each fires, how it went last; and firing one now."""

from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.runs import order as run_order
from lineshaft.runs.index import redis_time

from .cron import CronStore
from .due import request_of
from .record import CronRecord, read_crons
from .request import CronPatch

_FIELDS = ("fired", "fired_for", "fired_run", "outcome")


class CronRow(Struct, kw_only=True):
    """One cron."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    schedule: str
    timezone: str | None
    enabled: bool
    next_at: str
    late: float  # seconds that its next time has passed already; 0: it has not
    last_fired_at: str | None
    last_late: float | None  # seconds after its time that it fired
    last_outcome: str  # 'fired', 'passed' (its schedule cannot be read here), or why it made no run
    last_run: str
    last_status: str  # of that run; '' if its record has gone


async def list_crons(client: Client, *, limit: int = 100, offset: int = 0) -> list[CronRow]:
    """The newest first."""
    raw = await client.command("ZREVRANGE", client.keys.crons(), offset, offset + limit - 1)
    ids = [cron_id.decode() for cron_id in raw]
    records = [record for record in await read_crons(client, ids, with_payload=False) if record]
    return await _rows(client, records)


async def read_cron(client: Client, cron_id: str) -> CronRow:
    """Raises NotFound."""
    (record,) = await read_crons(client, [cron_id], with_payload=False)
    if record is None:
        raise NotFound(f"Cron with ID {cron_id} not found")
    (row,) = await _rows(client, [record])
    return row


async def enable_cron(client: Client, cron_id: str, *, enabled: bool) -> bool:
    """Let it fire, or not; False if that is so already. Raises NotFound.

    One that is enabled again does not make up for the time in between.
    """
    if (await read_cron(client, cron_id)).enabled == enabled:
        return False
    await CronStore(client).patch(cron_id, CronPatch(enabled=enabled), {"enabled": enabled})
    return True


async def run_cron(client: Client, cron_id: str) -> str:
    """Start its run now, beside its schedule; the run's id. Each call starts one. Raises NotFound, Unavailable."""
    (record,) = await read_crons(client, [cron_id], with_payload=True)
    if record is None:
        raise NotFound(f"Cron with ID {cron_id} not found")
    order = run_order.order(
        client, record.head.thread_id, request_of(record), "", cron_id=cron_id, user=record.head.user
    )
    await run_order.enqueue(client, order)
    return order.run_id


async def _rows(client: Client, records: list[CronRecord]) -> list[CronRow]:
    if not records:
        return []
    keys, now = client.keys, await redis_time(client)
    fired = await client.commands(*(("HMGET", keys.cron(record.cron_id), *_FIELDS) for record in records))
    statuses = await client.commands(*(("HGET", keys.run((row[2] or b"-").decode()), "status") for row in fired))
    return [_row(record, row, status, now) for record, row, status in zip(records, fired, statuses, strict=True)]


def _row(record: CronRecord, fired: list[bytes | None], status: bytes | None, now: int) -> CronRow:
    at, due, run, outcome = (value.decode() if value else "" for value in fired)
    head = record.head
    return CronRow(
        cron_id=record.cron_id,
        assistant_id=head.assistant_id,
        thread_id=head.thread_id,
        schedule=head.schedule,
        timezone=head.timezone,
        enabled=head.enabled,
        next_at=iso(record.next),
        late=max(0, now - record.next) / 1000 if head.enabled and record.next else 0,
        last_fired_at=iso(int(float(at))) if at else None,
        last_late=max(0.0, (float(at) - float(due)) / 1000) if at and due else None,
        last_outcome=outcome,
        last_run=run,
        last_status=(status or b"").decode(),
    )
