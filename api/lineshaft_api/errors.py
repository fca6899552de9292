"""The one place where an error becomes an HTTP answer: `{"detail": "<text>"}` with its status."""

import http
import logging

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from lineshaft import errors
from lineshaft.telemetry import log

from .metrics import route_of

logger = log.get("gateway")

_STATUS: dict[type, int] = {
    errors.BadRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}
_STARTED = web.RequestKey("STARTED", bool)


class Problem(msgspec.Struct):
    """What went wrong, in words for a person."""

    detail: str


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error response."""
    body = msgspec.json.encode(Problem(detail))
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def status_of(error: errors.LineshaftError) -> int | None:
    """The HTTP status that says the same; None for errors that no client should see."""
    if isinstance(error, errors.Refused):
        return error.status
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)


@web.middleware
async def translate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error that a handler or the router raises."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return await _of_the_framework(request, error)
    except errors.LineshaftError as error:
        status = status_of(error)
        if status and _STARTED not in request:
            return problem(status, str(error) or http.HTTPStatus(status).phrase, _headers(error))
        return _unexpected(request, error)
    except ConnectionError:
        raise  # the client has gone; aiohttp closes the connection
    except Exception as error:  # noqa: BLE001  # whatever a handler raises is logged and becomes a 500
        return _unexpected(request, error)


def _headers(error: errors.LineshaftError) -> dict[str, str]:
    match error:
        case errors.Unavailable(retry_after=int(seconds)) | errors.TooMany(retry_after=int(seconds)):
            return {"Retry-After": str(seconds)}
        case errors.Refused(headers=headers):
            return headers
        case errors.Unauthorized(challenge=str(challenge)) if challenge:
            return {"WWW-Authenticate": challenge}
        case _:
            return {}


async def note_start(request: web.Request, _response: web.StreamResponse) -> None:
    """A signal handler: from now on an error can only cut the connection, not change the answer."""
    request[_STARTED] = True


def _unexpected(request: web.Request, error: Exception) -> web.Response:
    logger.error("request failed", method=request.method, route=route_of(request), exc_info=error)
    if _STARTED in request:
        raise ConnectionResetError("the response had begun when its handler failed") from error
    return problem(500, "Internal Server Error")


async def _of_the_framework(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status == 404 and request.path.endswith("/") and (location := await _without_slash(request)):
        return web.Response(status=307, headers={"Location": location})
    if error.status < 400:
        raise error  # a redirect that a handler chose
    allow = error.headers.get("Allow")
    return problem(error.status, error.reason, {"Allow": allow} if allow else None)


async def _without_slash(request: web.Request) -> str | None:
    """Where a path with a trailing slash should have gone, if there is such a route."""
    url = request.rel_url.with_path(request.rel_url.raw_path.rstrip("/"), encoded=True, keep_query=True)
    found = await request.app.router.resolve(request.clone(rel_url=url))
    missing = found.http_exception is not None and found.http_exception.status == 404
    return None if missing else str(url)


def without_broken_requests(record: logging.LogRecord) -> bool:
    """A filter for what aiohttp logs. Of a request that is no HTTP it quotes the line that it cannot read.

    That may be a header with a secret, and whoever scans the port makes as many such lines as they like.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        logger.debug("a request is no HTTP", error=type(error).__name__)
        return False
    return True
