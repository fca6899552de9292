"""A request of aiohttp as an ASGI application sees it: the scope, what it receives, and the answer that it sends."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Of one connection, and so not for passing on; aiohttp sets them anew.
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})


def scope_of(request: web.Request, mount: str, state: dict[str, Any]) -> Scope:
    """The request's head. `mount` is the path that everything is under."""
    transport = request.transport
    sockname = transport.get_extra_info("sockname") if transport else None
    peername = transport.get_extra_info("peername") if transport else None
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": f"{request.version.major}.{request.version.minor}",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.rel_url.raw_path.encode(),
        "query_string": request.rel_url.raw_query_string.encode(),
        "root_path": mount if request.path == mount or request.path.startswith(f"{mount}/") else "",
        "headers": headers_of(request),
        "client": _address(peername),
        "server": _address(sockname),
        "state": dict(state),
    }


def headers_of(request: web.Request) -> list[tuple[bytes, bytes]]:
    """The headers as ASGI has them."""
    return [(name.lower(), value) for name, value in request.raw_headers]


class Outside:
    """One exchange with the client."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response: web.StreamResponse | None = None
        self._whole = False  # the request's body has been handed on
        self.ended = asyncio.Event()  # the answer is complete: nothing more will be received
        self.broken = False  # whoever makes the answer has failed in the midst of it

    @property
    def response(self) -> web.StreamResponse | None:
        """The answer, as soon as it has begun."""
        return self._response

    async def receive(self) -> Message:
        """The next part of the body; when there is none, wait for the end.

        A client that goes away ends the whole request by cancelling it, so nobody has to ask for that.
        """
        if not self._whole and self._request._read_bytes is not None:  # noqa: SLF001 - who asks has read it already
            self._whole = True
            return {"type": "http.request", "body": self._request._read_bytes, "more_body": False}  # noqa: SLF001
        if not self._whole:
            chunk = await self._request.content.readany()
            self._whole = self._request.content.at_eof()
            return {"type": "http.request", "body": chunk, "more_body": not self._whole}
        # Never at once: who listens for this in a loop would hold up the process.
        await self.ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take the head or a part of the answer.

        Raises ConnectionError when the client has gone; and for the end of an answer that broke off, which some
        middleware (Starlette's BaseHTTPMiddleware) sends as if it were whole: so the client sees that it is not.
        """
        if message["type"] == "http.response.start":
            headers = CIMultiDict((_text(k), _text(v)) for k, v in message["headers"] if k.lower() not in _HOP_BY_HOP)
            self._response = web.StreamResponse(status=message["status"], headers=headers)
            await self._response.prepare(self._request)
        elif message["type"] == "http.response.body":
            if self._response is None:
                raise RuntimeError("an answer's body was sent before its head")
            # Applications answer HEAD as they answer GET, and leave it to the server to send no body.
            if (body := message.get("body", b"")) and self._request.method != "HEAD":
                await self._response.write(body)
            if not message.get("more_body", False):
                if self.broken:
                    raise ConnectionResetError("the answer broke off")
                await self._response.write_eof()
                self.ended.set()


def _address(name: Any) -> tuple[str, int | None] | None:
    """A socket's name as ASGI has it; a Unix socket has a path and no port."""
    if isinstance(name, tuple):
        return name[0], name[1]
    return (name, None) if isinstance(name, str) and name else None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
