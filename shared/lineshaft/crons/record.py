"""A cron as it is stored, and as clients see it."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.clock import iso
from lineshaft.redis.client import Client
from lineshaft.runs.request import RunUser
from lineshaft.telemetry import log

from .request import OnRunCompleted

logger = log.get("crons")

_FIELDS = ("head", "version", "next", "created", "updated")


class Cron(Struct, kw_only=True):
    """A schedule on which runs start."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    user_id: str
    end_time: str | None
    schedule: str
    timezone: str | None
    payload: Raw
    next_run_date: str
    metadata: dict[str, Any]
    on_run_completed: OnRunCompleted | None
    enabled: bool
    created_at: str
    updated_at: str


class CronHead(Struct, kw_only=True, omit_defaults=True):
    """What is stored of a cron (field `head`) beside its payload. `end` in ms."""

    assistant_id: str
    schedule: str
    thread_id: str | None = None
    timezone: str | None = None
    end: int | None = None
    on_run_completed: OnRunCompleted | None = None
    enabled: bool = True
    metadata: dict[str, Any] = {}
    user: RunUser | None = None  # for whom its runs are started


class CronRecord(Struct, kw_only=True):
    """A cron as stored; without its payload that is null. Times in ms."""

    cron_id: str
    head: CronHead
    version: int
    next: int
    created: int
    updated: int
    payload: bytes = b"null"

    def shown(self) -> Cron:
        """As clients see it."""
        head = self.head
        return Cron(
            cron_id=self.cron_id,
            assistant_id=head.assistant_id,
            thread_id=head.thread_id,
            user_id=head.user.identity if head.user else "",
            end_time=None if head.end is None else iso(head.end),
            schedule=head.schedule,
            timezone=head.timezone,
            payload=Raw(self.payload),
            next_run_date=iso(self.next),
            metadata=head.metadata,
            on_run_completed=head.on_run_completed,
            enabled=head.enabled,
            created_at=iso(self.created),
            updated_at=iso(self.updated),
        )


async def read_crons(client: Client, cron_ids: list[str], *, with_payload: bool) -> list[CronRecord | None]:
    """The records of some crons, in one round trip; None for one that is not there or cannot be read."""
    names = (*_FIELDS, "payload") if with_payload else _FIELDS
    answers = await client.commands(*(("HMGET", client.keys.cron(i), *names) for i in cron_ids)) if cron_ids else []
    return [_record(i, fields) for i, fields in zip(cron_ids, answers, strict=True)]


def _record(cron_id: str, fields: list[bytes | None]) -> CronRecord | None:
    head, version, following, created, updated, *payload = fields
    if head is None:
        return None
    try:
        decoded = msgspec.json.decode(head, type=CronHead)
    except msgspec.MsgspecError:
        logger.exception("the record of a cron cannot be read", cron_id=cron_id)  # and hinders no other
        return None
    return CronRecord(
        cron_id=cron_id,
        head=decoded,
        version=int(version or 0),
        next=int(following or 0),
        created=int(created or 0),
        updated=int(updated or 0),
        payload=(payload and payload[0]) or b"null",
    )
