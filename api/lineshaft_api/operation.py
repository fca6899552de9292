"""One declaration per operation: its annotations say what is decoded, what is encoded and what the document shows.

    @operation("POST", "/threads/{thread_id}/runs", errors=(404, 409), tags=("Runs",))
    async def create_run(request: web.Request, thread_id: ThreadId, body: RunCreate) -> Reply[Run]:
        \"\"\"Create a run in the background.\"\"\"

Parameters: the request; the names in the path; `body` (JSON); `query` (a Struct). Result: JSON, an empty 204 for
`None`, `Reply` for headers or another status, or a `web.StreamResponse` that the handler made itself.
"""

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from lineshaft.access.api_keys import Scope
from lineshaft.errors import BadRequest, TooLarge

from . import decode
from .auth.access import Access, derive
from .auth.caller import CALLER
from .auth.guard import admit
from .context import SETTINGS

T = TypeVar("T")
Handler = Callable[..., Awaitable[Any]]
BoundHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _id_of(what: str) -> Meta:
    return Meta(description=f"The {what}'s id.", extra={"id": what}, extra_json_schema={"format": "uuid"})


AssistantId = Annotated[str, _id_of("assistant")]
CronId = Annotated[str, _id_of("cron")]
RunId = Annotated[str, _id_of("run")]
ThreadId = Annotated[str, _id_of("thread")]

# Reading that needs a body.
_READS = ("/search", "/count")
_PATH_PARAMETER = re.compile(r"{(\w+)}")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer that is more than its value. Without a value the body is empty."""

    value: T | UnsetType = UNSET
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None  # the operation's, if none is given


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route with all that its binding and its documentation need."""

    method: str
    path: str
    handler: Handler
    status: int
    also: tuple[int, ...]  # other successful statuses, with an empty body
    errors: tuple[int, ...]
    tags: tuple[str, ...]
    media: str  # content type of the result
    params: dict[str, Any]  # path parameters and their types, in the order of the path
    body: Any  # None: reads no body
    query: Any  # None: reads no query
    result: Any  # None: the handler makes the response itself
    streams: bool  # the response may never end
    scope: Scope | None  # what a caller must be allowed; None: nobody is asked who they are
    access: Access | None  # what is done to what; None: the handler asks by itself, or nobody needs to


def operation(
    method: str,
    path: str,
    *,
    status: int | None = None,
    also: tuple[int, ...] = (),
    errors: tuple[int, ...] = (),
    tags: tuple[str, ...] = (),
    media: str | None = None,
    scope: Scope | None = None,
    public: bool = False,
    access: Access | Literal["itself"] | None = None,
) -> Callable[[Handler], Operation]:
    """Declare an operation. `status` is 200, or 204 for a handler that returns None; 413 and 422 need not be named.

    `scope` is by the method, unless a POST only reads; `access` is by the path, unless its handler asks ITSELF. A
    `public` operation asks nobody who they are.
    """

    def declare(handler: Handler) -> Operation:
        hints = typing.get_type_hints(handler, include_extras=True)
        result = hints.pop("return")
        if typing.get_origin(result) is Reply:
            (result,) = typing.get_args(result)
        is_response = isinstance(result, type) and issubclass(result, web.StreamResponse)
        names = _PATH_PARAMETER.findall(path)
        _request, *others = inspect.signature(handler).parameters
        expected = {*names} | {"body", "query"} & hints.keys()
        if set(others) != expected:
            raise TypeError(f"{handler.__name__}: {path} wants the parameters {sorted(expected)}, not {others}")
        body, query = hints.get("body"), hints.get("query")
        decodes = names or query or (body and not decode.is_undecoded(body))
        asked: Scope | None = (
            None if public else scope or ("read" if method == "GET" or path.endswith(_READS) else "write")
        )
        does = access or (None if public else derive(method, path, reads=asked == "read"))
        refusals = {*errors, *([422] if decodes else []), *([413] if body else [])}
        return Operation(
            method=method,
            path=path,
            handler=handler,
            status=status or (204 if result is type(None) else 200),
            also=also,
            errors=tuple(sorted(refusals)),
            tags=tags,
            media=media or ("text/event-stream" if is_response else "application/json"),
            params={name: hints[name] for name in names},
            body=body,
            query=query,
            result=None if is_response else result,
            streams=result is web.StreamResponse,
            scope=asked,
            access=None if isinstance(does, str) else does,
        )

    return declare


def bind(op: Operation) -> BoundHandler:
    """The aiohttp handler of an operation."""
    read_params = [(name, decode.path(name, annotation)) for name, annotation in op.params.items()]
    read_query = decode.query(op.query) if op.query else None
    read_body = decode.body(op.body) if op.body else None

    async def handle(request: web.Request) -> web.StreamResponse:
        if op.scope is not None:
            request[CALLER].require(op.scope)
        arguments: dict[str, Any] = {}
        for name, read in read_params:
            arguments[name] = read(request.match_info[name])
        if read_query:
            arguments["query"] = read_query(request.query)
        if read_body:
            arguments["body"] = read_body(await _bytes_of(request))
        if op.streams and request.method == "HEAD":
            return web.Response(content_type=op.media)
        check = await admit(request, op.access, arguments) if op.access else None
        result = await op.handler(request, **arguments)
        if check:
            check(result)
        if isinstance(result, web.StreamResponse):
            return result
        return _answer(op, result)

    return handle


def _answer(op: Operation, result: Any) -> web.Response:
    status: int = op.status
    headers: Mapping[str, str] = {}
    if isinstance(result, Reply):
        status, headers, result = result.status or status, result.headers, result.value
    if result is UNSET or status == 204:
        return web.Response(status=status, headers=headers)
    return web.Response(body=_encode(result), status=status, headers={"Content-Type": op.media, **headers})


async def _bytes_of(request: web.Request) -> bytes:
    """The whole body. Raises TooLarge, at once when the client says so in advance, else while it comes in."""
    limit = request.app[SETTINGS].http_max_request_body_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None
    except web.RequestPayloadError as error:
        raise BadRequest(f"The request body cannot be read: {error}") from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"Request body too large (limit: {limit} bytes)")
