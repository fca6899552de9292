"""What operators did: a bounded stream in Redis, and a line in the log of whoever carried it out."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.clock import iso
from lineshaft.errors import LineshaftError
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

logger = log.get("audit")

_KEPT = 10_000  # entries; each has some hundred bytes


class AuditEntry(Struct, kw_only=True):
    """One action, or why it was refused."""

    id: str
    at: str
    who: str
    action: str
    target: str  # what of: an id or a name; '' for a filter
    where: Raw  # the filter, as it was sent; null without one
    count: int  # of what it is about
    outcome: str  # 'asked', or 'refused: ...'


class Audit:
    """The stream. `who` is who acts by it."""

    def __init__(self, client: Client, who: str) -> None:
        self._client = client
        self._who = who

    @contextlib.asynccontextmanager
    async def noted(self, action: str, target: str = "", *, where: Any = None, count: int = 1) -> AsyncIterator[None]:
        """Around an action: noted before it is carried out, so that none goes unnoticed, and again if it is refused."""
        await self._note(action, target, where, count, "asked")
        try:
            yield
        except LineshaftError as error:
            await self._note(action, target, where, count, f"refused: {error}")
            raise

    async def _note(self, action: str, target: str, where: Any, count: int, outcome: str) -> None:
        text = msgspec.json.encode(where)
        logger.info(action, who=self._who, target=target, where=text.decode(), count=count, outcome=outcome)
        await self._client.script(
            "audit_note",
            request=uuid7(),
            kept=_KEPT,
            who=self._who,
            action=action,
            target=target,
            where=text,
            count=count,
            outcome=outcome,
        )


async def read_audit(client: Client, *, limit: int, before: str = "") -> list[AuditEntry]:
    """The newest entries, or those before one."""
    end = f"({before}" if before else "+"
    rows = await client.command("XREVRANGE", client.keys.audit(), end, "-", "COUNT", limit)
    return [_entry(raw.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for raw, flat in rows]


def _entry(entry_id: str, fields: dict[bytes, bytes]) -> AuditEntry:
    return AuditEntry(
        id=entry_id,
        at=iso(int(entry_id.partition("-")[0])),
        who=fields[b"who"].decode(),
        action=fields[b"action"].decode(),
        target=fields[b"target"].decode(),
        where=Raw(fields[b"where"]),
        count=int(fields[b"count"]),
        outcome=fields[b"outcome"].decode(),
    )
