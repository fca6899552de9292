"""Runs of all threads: find, look into, cancel, try again; and the errors that they ended with."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from lineshaft.runs.actions import MOST, Bulk, BulkResult, Kind, cancel_one
from lineshaft.runs.cancellation import Action
from lineshaft.runs.detail import RunDetail, read_detail
from lineshaft.runs.error_groups import ErrorGroup, group_errors
from lineshaft.runs.index import RunFilter, RunIndex, RunPage
from lineshaft.runs.retries import Retry, retry_run
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.operation import Operation, RunId, operation

from .steering import TAGS, Done, audit_of, client_of

Maximum = Annotated[int, Meta(ge=1, le=MOST, description="If more runs match, none is touched.")]


class RunQuery(RunFilter, kw_only=True):
    """Which runs, and which page of them."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: Annotated[str, Meta(max_length=100, description="`next` of the page before.")] = ""


class CancelAction(Struct):
    """How to cancel."""

    action: Action = "interrupt"


class CancelSome(Struct, kw_only=True):
    """Which runs to cancel. A dry run, the default, tells how many and shows some."""

    where: RunFilter
    maximum: Maximum = 100
    dry_run: bool = True
    action: Action = "interrupt"


class RetrySome(Struct, kw_only=True):
    """Which failed or cancelled runs to try again. A dry run, the default, tells how many and shows some."""

    where: RunFilter
    maximum: Maximum = 100
    dry_run: bool = True


@operation("GET", "/internal/runs", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def find_runs(request: web.Request, query: RunQuery) -> RunPage:
    """Find runs of all threads: first those that have not ended, then those that ended lately, the newest first.

    A page comes after a look at a bounded number of runs, so it may be short, or empty, and not the last.
    """
    where = RunFilter(**{name: getattr(query, name) for name in RunFilter.__struct_fields__})
    return await RunIndex(client_of(request)).page(where, limit=query.limit, cursor=query.cursor)


@operation("GET", "/internal/runs/{run_id}", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def get_run_detail(request: web.Request, run_id: RunId) -> RunDetail:
    """Show a run's timeline, attempts, last events, error with its stack, lease and cancel.

    Its input and the data of events only with LINESHAFT_SHOW_CONTENT.
    """
    return await read_detail(client_of(request), run_id)


@operation("POST", "/internal/runs/{run_id}/cancel", errors=(404, 409, 503), tags=TAGS, scope="admin", access=ITSELF)
async def cancel_run_as_operator(request: web.Request, run_id: RunId, query: CancelAction) -> Done:
    """Cancel a run of whosever."""
    async with audit_of(request).noted(f"cancel run ({query.action})", run_id):
        return Done(*await cancel_one(client_of(request), run_id, query.action))


@operation("POST", "/internal/runs/{run_id}/retry", errors=(404, 409, 503), tags=TAGS, scope="admin", access=ITSELF)
async def retry_run_as_operator(request: web.Request, run_id: RunId) -> Retry:
    """Try a failed or cancelled run again, as a new run.

    It goes on from the last checkpoint, or starts from the original input if the run has written none, with the
    assistant as it is now, for the same user. A repeated call answers with the same new run.
    """
    async with audit_of(request).noted("retry run", run_id):
        return await retry_run(client_of(request), run_id)


@operation("POST", "/internal/runs/cancel", errors=(400, 409, 503), tags=TAGS, scope="admin", access=ITSELF)
async def cancel_runs_as_operator(request: web.Request, body: CancelSome) -> BulkResult:
    """Cancel all runs that match a filter, up to a maximum."""
    bulk = Bulk(kind="cancel", where=body.where, maximum=body.maximum, action=body.action)
    return await _carry_out(request, bulk, dry_run=body.dry_run)


@operation("POST", "/internal/runs/retry", errors=(400, 409, 503), tags=TAGS, scope="admin", access=ITSELF)
async def retry_runs_as_operator(request: web.Request, body: RetrySome) -> BulkResult:
    """Try all failed or cancelled runs again that match a filter, up to a maximum."""
    return await _carry_out(request, Bulk(kind="retry", where=body.where, maximum=body.maximum), dry_run=body.dry_run)


@operation("GET", "/internal/errors", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def list_errors(request: web.Request) -> list[ErrorGroup]:
    """Group the runs that failed lately by the class of their error and where it came from, the commonest first."""
    return await group_errors(client_of(request))


async def _carry_out(request: web.Request, bulk: Bulk, *, dry_run: bool) -> BulkResult:
    client = client_of(request)
    rows, seen = await bulk.preview(client)
    if dry_run:
        return seen
    kind: Kind = bulk.kind
    what = f"cancel runs ({bulk.action})" if kind == "cancel" else "retry runs"
    async with audit_of(request).noted(what, where=bulk.where, count=seen.matched):
        return await bulk.carry_out(client, rows, seen)


OPERATIONS: list[Operation] = [
    find_runs,
    cancel_runs_as_operator,
    retry_runs_as_operator,
    get_run_detail,
    cancel_run_as_operator,
    retry_run_as_operator,
    list_errors,
]
