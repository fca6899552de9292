"""Crons of all callers: when they fire, how it went last; firing, enabling, disabling one."""

from aiohttp import web
from msgspec import Struct

from lineshaft.crons.overview import CronRow, enable_cron, list_crons, run_cron
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.operation import CronId, Operation, operation
from lineshaft_api.paging import Limit, Offset

from .steering import TAGS, Done, audit_of, client_of


class CronPageQuery(Struct, kw_only=True):
    """Which page."""

    limit: Limit = 100
    offset: Offset = 0


class StartedRun(Struct):
    """The run that was started."""

    run_id: str


@operation("GET", "/internal/crons", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_crons_overview(request: web.Request, query: CronPageQuery) -> list[CronRow]:
    """List crons with their next time, and what became of the last one; the newest cron first."""
    return await list_crons(client_of(request), limit=query.limit, offset=query.offset)


@operation(
    "POST", "/internal/crons/{cron_id}/run", errors=(400, 404, 409, 429, 503), tags=TAGS, scope="admin", access=ITSELF
)
async def run_cron_now(request: web.Request, cron_id: CronId) -> StartedRun:
    """Start a cron's run now, beside its schedule. Each call starts one."""
    async with audit_of(request).noted("run cron", cron_id):
        return StartedRun(await run_cron(client_of(request), cron_id))


@operation("POST", "/internal/crons/{cron_id}/enable", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def enable_cron_as_operator(request: web.Request, cron_id: CronId) -> Done:
    """Let a cron fire again. It does not make up for the time in between."""
    return await _enable(request, cron_id, enabled=True)


@operation("POST", "/internal/crons/{cron_id}/disable", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def disable_cron_as_operator(request: web.Request, cron_id: CronId) -> Done:
    """Let a cron fire no more. Runs that it has started go on."""
    return await _enable(request, cron_id, enabled=False)


async def _enable(request: web.Request, cron_id: str, *, enabled: bool) -> Done:
    state = "enabled" if enabled else "disabled"
    async with audit_of(request).noted("enable cron" if enabled else "disable cron", cron_id):
        changed = await enable_cron(client_of(request), cron_id, enabled=enabled)
    return Done(changed, f"Cron {cron_id} is {state}{'' if changed else ' already'}.")


OPERATIONS: list[Operation] = [
    get_crons_overview,
    run_cron_now,
    enable_cron_as_operator,
    disable_cron_as_operator,
]
