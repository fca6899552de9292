"""Cancelling and retrying many runs by a filter, after a look at what that would be."""

import asyncio
from typing import Literal

from msgspec import Struct

from lineshaft.errors import BadRequest, Conflict, LineshaftError, NotFound, Unavailable
from lineshaft.redis.client import Client

from .cancellation import Action, cancel
from .index import RunFilter, RunIndex, RunRow
from .retries import retry_run

MOST = 10_000  # runs of one action; beyond it a request would take minutes
_SAMPLE = 10
_TOLD = 100  # refusals that an answer names
_AT_ONCE = 20  # scripts that are under way at once: Redis serves others in between
_PAGE = 500

Kind = Literal["cancel", "retry"]
_PAST: dict[Kind, str] = {"cancel": "cancelled", "retry": "retried"}


class BulkResult(Struct, kw_only=True):
    """What an action on a filter did, or would do."""

    dry_run: bool
    matched: int  # runs that match and that the action is for: not over yet, or failed
    is_more: bool  # and more beyond the maximum, which nobody counted
    sample: list[RunRow]
    done: int = 0
    ended: int = 0  # of a cancel: by themselves, meanwhile
    refused: int = 0
    refusals: list[str] = []  # why, of some


async def cancel_one(client: Client, run_id: str, action: Action) -> tuple[bool, str]:
    """Cancel a run: whether it was to be cancelled, and a sentence. Raises NotFound, and Conflict if it has ended."""
    rows = await RunIndex(client).rows([run_id])
    if not rows:
        raise NotFound(f"Run with ID {run_id} not found")
    (row,) = rows
    if row.state == "ended":
        raise Conflict(f"Run {run_id} has ended already: {row.status}")
    if row.cancel:
        return False, f"Run {run_id} is being cancelled already ({row.cancel})."
    try:
        ended = await cancel(client, row.thread_id, run_id, action, f"{action} by an operator")
    except NotFound:
        raise Conflict(f"Run {run_id} has ended meanwhile") from None
    return True, f"Run {run_id} {'was cancelled' if ended else 'is being stopped by its worker'}."


class Bulk(Struct, kw_only=True):
    """An action on all runs that match."""

    kind: Kind
    where: RunFilter
    maximum: int
    action: Action = "interrupt"  # of a cancel

    async def preview(self, client: Client) -> tuple[list[RunRow], BulkResult]:
        """The runs, and what a dry run says. Raises BadRequest for a filter that says nothing, or too large a maximum.

        Nobody means every run by accident.
        """
        if self.where.is_empty:
            raise BadRequest(f"Name at least one condition: without any, every run would be {_PAST[self.kind]}")
        found: list[RunRow] = []
        cursor: str | None = ""
        while cursor is not None and len(found) <= self.maximum:
            page = await RunIndex(client).page(self.where, limit=_PAGE, cursor=cursor)
            found += [row for row in page.runs if self._is_for(row)]
            cursor = page.next
        chosen = {row.run_id: row for row in found[: self.maximum]}  # one that changed its place may come twice
        is_more = len(found) > self.maximum
        rows = list(chosen.values())
        return rows, BulkResult(dry_run=True, matched=len(rows), is_more=is_more, sample=rows[:_SAMPLE])

    async def carry_out(self, client: Client, rows: list[RunRow], seen: BulkResult) -> BulkResult:
        """Do it to the runs of a preview. Raises Conflict if there were more than the maximum: then nothing is done."""
        if seen.is_more:
            raise Conflict(
                f"More than {self.maximum} runs match, and none was {_PAST[self.kind]}: narrow the filter, or raise the"
                f" maximum (up to {MOST})"
            )
        result = BulkResult(dry_run=False, matched=seen.matched, is_more=False, sample=seen.sample)
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            for row, refusal in zip(part, await asyncio.gather(*(self._one(client, row) for row in part)), strict=True):
                if refusal is None:
                    result.done += 1
                    continue
                if self.kind == "cancel" and isinstance(refusal, NotFound):
                    result.ended += 1
                    continue
                result.refused += 1
                if len(result.refusals) < _TOLD:
                    result.refusals.append(f"{row.run_id}: {refusal}")
        return result

    def _is_for(self, row: RunRow) -> bool:
        if self.kind == "cancel":
            return row.state != "ended" and not row.cancel
        return row.status in ("error", "timeout", "interrupted")

    async def _one(self, client: Client, row: RunRow) -> LineshaftError | None:
        """Why it was not to be done."""
        try:
            if self.kind == "cancel":
                await cancel(client, row.thread_id, row.run_id, self.action, f"{self.action} by an operator")
            else:
                await retry_run(client, row.run_id)
        except Unavailable:
            raise
        except LineshaftError as error:
            return error
        return None
