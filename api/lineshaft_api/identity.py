"""The id of a request, by which its client, our logs and its run name it."""

import random
import re
import time
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler

from lineshaft.telemetry import log, tracing

from .context import REQUEST_ID, SETTINGS
from .metrics import route_of

logger = log.get("gateway")

# What can stand in a header and in a log as it is. Another one is not taken: it would be echoed and stored.
_USABLE = re.compile(r"[\x21-\x7e]{1,128}")


# Of the path only what is an id: a client may put anything there.
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


# The last part of routes that are asked to see whether the server is well.
_WATCHED = frozenset({"ok", "metrics", "livez", "readyz", "startupz"})


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the client's `x-request-id`, or make one. All log lines of a request have it, and the ids in its path.

    With `logging_headers` they have those headers too.
    """
    given = request.headers.get("x-request-id", "")
    # Unique, not secret: uuid4 would ask the operating system for randomness, at every request.
    request_id = given if _USABLE.fullmatch(given) else str(uuid.UUID(int=random.getrandbits(128), version=4))
    request[REQUEST_ID] = request_id
    began, status = time.perf_counter(), 499  # as web servers have it: the client has gone
    ids = {name: text for name, text in request.match_info.items() if _ID.fullmatch(text)}
    route = route_of(request)
    with (
        _span(request, route, {"request_id": request_id, **ids}) as span,
        log.bound(request_id=request_id, trace_id=span.trace_id, **ids, **_headers(request)),
    ):
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            span.note(status=status)
            _note(request, status, time.perf_counter() - began)


def _span(request: web.Request, route: str, ids: dict[str, str]) -> tracing.Span:
    # Load balancers and scrapers ask every few seconds, which is nothing to look into.
    if route.rpartition("/")[2] in _WATCHED:
        return tracing.Span("")
    return tracing.request(request.method, route, request.headers, **ids)


def _headers(request: web.Request) -> dict[str, object]:
    if not (rules := request.app[SETTINGS].langgraph_http.logging_headers):
        return {}
    names = rules.chosen(frozenset(name.lower() for name in request.headers))
    return {"headers": {name: request.headers[name] for name in sorted(names)}}


def _note(request: web.Request, status: int, seconds: float) -> None:
    """One line for each request, of its route and never of its path and query, in which callers may put anything.

    Below DEBUG only of those that the server failed: a line costs as much as a small request does.
    """
    say = logger.warning if status >= 500 else logger.debug
    say("request", method=request.method, route=route_of(request), status=status, seconds=round(seconds, 4))


async def echo(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler: every answer tells the id."""
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
