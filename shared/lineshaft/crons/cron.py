"""Crons: schedules on which runs start; and the store that keeps them. Firing them is in `due.py`."""

import os
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct

from lineshaft.errors import BadRequest, Invalid, NotFound
from lineshaft.ids import canonical, system_assistant, uuid7
from lineshaft.metadata import accept_metadata
from lineshaft.redis.client import Client
from lineshaft.runs.request import RunUser
from lineshaft.search import Page, contains, page

from .record import Cron, CronHead, CronRecord, read_crons
from .request import CronCreate, CronPatch, end_of, payload_of
from .schedule import Schedule

SortBy = Literal[
    "cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"
]  # fmt: skip
MAX_ON_THREAD = 100  # crons; they go with their thread, in one step
_READ_AT_ONCE = 500  # records without payload; each has about 300 bytes
_PAYLOADS_AT_ONCE = 20  # each may have MAX_PAYLOAD


class CronFilter(Struct, kw_only=True):
    """Which crons: all conditions must hold."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: dict[str, Any] = {}


class CronStore:
    """Crons in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = client.keys

    async def create(
        self, thread_id: str | None, request: CronCreate, document: dict[str, Any], user: RunUser | None = None
    ) -> Cron:
        """A new cron, whose runs are started for `user`; `document` is the request with what we do not know of it.

        Without `thread_id` each of its runs gets a thread of its own. Raises Invalid, BadRequest, NotFound, TooLarge,
        TooMany.
        """
        cron_id = uuid7()
        try:
            assistant_id = canonical(request.assistant_id, "assistant")
        except Invalid:
            assistant_id = system_assistant(request.assistant_id)
        head = CronHead(
            assistant_id=assistant_id,
            thread_id=thread_id,
            schedule=request.schedule,
            timezone=None if request.timezone is UNSET else request.timezone,
            end=end_of(request.end_time),
            on_run_completed=None if thread_id else request.on_run_completed,
            enabled=request.enabled,
            metadata={} if request.metadata is UNSET else accept_metadata(request.metadata),
            user=user,
        )
        settings = self._client.settings
        payload = payload_of(document, cron_id, assistant_id, stateless=thread_id is None, settings=settings)
        following = Schedule(head.schedule, head.timezone).next_after(await self._now())
        created: int = await self._client.script(
            "cron_create",
            cron_id=cron_id,
            thread_id=thread_id or "",
            assistant_id=assistant_id,
            max_crons=MAX_ON_THREAD,
            payload=payload,
            next_at=following,
            **_stored(head),
        )
        return CronRecord(
            cron_id=cron_id, head=head, version=1, next=following, created=created, updated=created, payload=payload
        ).shown()

    async def get(self, cron_id: str) -> Cron:
        """Raises NotFound."""
        return (await self._get(cron_id)).shown()

    async def patch(self, cron_id: str, request: CronPatch, document: dict[str, Any]) -> Cron:
        """Change what `request` has. Its next time stays, unless the schedule changes, or has passed while disabled.

        Raises NotFound, Invalid, BadRequest, TooLarge.
        """
        if not document:
            raise BadRequest("Request body cannot be empty")
        while True:
            record = await self._get(cron_id)
            head = _patched(record.head, request)
            payload = payload_of(
                {**msgspec.json.decode(record.payload), **document},
                cron_id,
                head.assistant_id,
                stateless=head.thread_id is None,
                settings=self._client.settings,
            )
            now = await self._now()
            moved = (head.schedule, head.timezone) != (record.head.schedule, record.head.timezone)
            resumed = head.enabled and not record.head.enabled and record.next <= now
            if await self._client.script(
                "cron_update",
                cron_id=cron_id,
                expected_version=record.version,
                payload=payload,
                next_at=Schedule(head.schedule, head.timezone).next_after(now) if moved or resumed else "",
                **_stored(head),
            ):
                return await self.get(cron_id)

    async def delete(self, cron_id: str) -> None:
        """Raises NotFound."""
        await self._client.script("cron_delete", cron_id=cron_id, request=os.urandom(8).hex())

    async def search(
        self,
        where: CronFilter,
        *,
        limit: int = 10,
        offset: int = 0,
        sort_by: SortBy = "created_at",
        descending: bool = True,
        with_payload: bool = True,
    ) -> Page[Cron]:
        """A page of the crons that match; those that lack what is sorted by come last. Without payload it is null."""
        key = _SORT_KEYS[sort_by]
        found = sorted(await self._find(where), key=lambda record: record.cron_id, reverse=descending)
        ranked = sorted((r for r in found if key(r) is not None), key=key, reverse=descending)
        chosen = page([*ranked, *(r for r in found if key(r) is None)][offset : offset + limit + 1], limit, offset)
        rows = chosen.rows
        if with_payload:
            rows = await self._read([record.cron_id for record in rows], _PAYLOADS_AT_ONCE, with_payload=True)
        return Page([record.shown() for record in rows], chosen.next, chosen.total)

    async def count(self, where: CronFilter) -> int:
        """How many crons match."""
        return len(await self._find(where))

    async def _now(self) -> int:
        seconds, microseconds = await self._client.command("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _get(self, cron_id: str) -> CronRecord:
        found = await self._read([cron_id], 1, with_payload=True)
        if not found:
            raise NotFound(f"Cron with ID {cron_id} not found")
        return found[0]

    async def _read(self, ids: list[str], at_once: int, *, with_payload: bool) -> list[CronRecord]:
        """Those of some crons that are there."""
        found: list[CronRecord] = []
        for start in range(0, len(ids), at_once):
            some = await read_crons(self._client, ids[start : start + at_once], with_payload=with_payload)
            found += [record for record in some if record]
        return found

    async def _find(self, where: CronFilter) -> list[CronRecord]:
        """All that match. Crons are few beside what they start, so they are read and compared."""
        keys = self._keys
        if where.thread_id is not None:
            ids = await self._client.command("SMEMBERS", keys.crons_of_thread(where.thread_id))
        elif where.assistant_id is not None:
            ids = await self._client.command("SMEMBERS", keys.crons_of_assistant(where.assistant_id))
        else:
            ids = await self._client.command("ZRANGE", keys.crons(), 0, -1)
        found = await self._read([i.decode() for i in ids], _READ_AT_ONCE, with_payload=False)
        return [record for record in found if _matches(record.head, where)]


def _stored(head: CronHead) -> dict[str, Any]:
    """What the scripts are told of a head."""
    return {"head": msgspec.json.encode(head), "ends": "" if head.end is None else head.end, "enabled": head.enabled}


def _patched(head: CronHead, request: CronPatch) -> CronHead:
    changes: dict[str, Any] = {
        name: value
        for name in ("schedule", "timezone", "enabled")
        if (value := getattr(request, name)) is not UNSET
    }  # fmt: skip
    if request.end_time is not UNSET:
        changes["end"] = end_of(request.end_time)
    if request.metadata is not UNSET:
        changes["metadata"] = {**head.metadata, **accept_metadata(request.metadata)}
    if request.on_run_completed is not UNSET and head.thread_id is None:
        changes["on_run_completed"] = request.on_run_completed
    return msgspec.structs.replace(head, **changes)


_SORT_KEYS: dict[str, Any] = {
    "cron_id": lambda record: record.cron_id,
    "assistant_id": lambda record: record.head.assistant_id,
    "thread_id": lambda record: record.head.thread_id,
    "next_run_date": lambda record: record.next,
    "end_time": lambda record: record.head.end,
    "created_at": lambda record: record.created,
    "updated_at": lambda record: record.updated,
}


def _matches(head: CronHead, where: CronFilter) -> bool:
    return (
        (where.assistant_id is None or head.assistant_id == where.assistant_id)
        and (where.thread_id is None or head.thread_id == where.thread_id)
        and (where.enabled is None or head.enabled == where.enabled)
        and contains(head.metadata, where.metadata)
    )
