"""Rate limits: how many requests a caller may send, and how many runs they may start."""

from aiohttp import web

from lineshaft.access.rates import take
from lineshaft_api.context import CLIENT, SETTINGS

from .caller import CALLER


async def count_request(request: web.Request) -> None:
    """Raises TooMany. Somebody who is nobody is not counted: there would be one limit for all."""
    caller = request[CALLER]
    limit = caller.requests_per_minute or request.app[SETTINGS].lineshaft_requests_per_minute
    if limit and caller.identity:
        await take(request.app[CLIENT], "requests", caller.identity, limit)


async def count_runs(request: web.Request, count: int = 1) -> None:
    """Raises TooMany. Runs that are refused for another reason after this count too."""
    caller = request[CALLER]
    limit = caller.runs_per_day or request.app[SETTINGS].lineshaft_runs_per_day
    if limit and caller.identity:
        await take(request.app[CLIENT], "runs", caller.identity, limit, count)
