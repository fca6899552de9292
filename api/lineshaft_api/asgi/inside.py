"""Runs a handler of ours inside an ASGI application: its request's body is received, and its answer is sent, there."""

from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from .outside import Message, Receive, Scope, Send, headers_of


def request_in(request: web.Request, scope: Scope, receive: Receive, send: Send) -> web.Request:
    """The request as it is inside: with what the application has changed of its headers and its body."""
    # aiohttp has no public way to say where a request comes from and where its answer goes, other than a transport.
    # These attributes are private; tests/api/test_custom_app.py breaks if they are renamed.
    read, request._read_bytes = request._read_bytes, None  # noqa: SLF001 - what was read cannot be cloned
    if scope["headers"] == headers_of(request):
        inner = request.clone()
    else:
        headers = CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        inner = request.clone(headers=headers)
    request._read_bytes = read  # noqa: SLF001
    inner._payload = _Body(receive)  # type: ignore[assignment]  # noqa: SLF001
    inner._payload_writer = _Writer(send)  # noqa: SLF001
    return inner


async def serve(inner: web.Request, handler: Handler) -> None:
    """Answer, inside, with a handler of ours."""
    response = await handler(inner)
    if not response.prepared:
        await response.prepare(inner)
    await response.write_eof()


def once_more(inner: web.Request, receive: Receive) -> Receive:
    """What there is to receive after somebody may have read the body of `inner`."""
    body = inner._read_bytes  # noqa: SLF001 - as above; `read` would read it now if nobody has
    if body is None:
        return receive
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return parts.pop() if parts else await receive()

    return again


class _Body:
    """As much of aiohttp's StreamReader as `Request.read` asks for."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False

    def set_read_chunk_size(self, _size: int) -> None:
        """The application decides."""

    async def readany(self) -> bytes:
        """The next part; empty at the end. Raises ConnectionResetError when the client has gone."""
        while not self._whole:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client has gone")
            self._whole = not message.get("more_body", False)
            if body := message.get("body", b""):
                return bytes(body)
        return b""


class _Writer(AbstractStreamWriter):
    """Turns what a response writes into ASGI messages. Lengths and chunks are the outer response's matter."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False

    async def write_headers(self, status_line: str, headers: "CIMultiDict[str]") -> None:
        """The head: `HTTP/1.1 200 OK` and the headers."""
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": int(status_line.split(" ", 2)[1]), "headers": pairs})

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """A part of the body; returns when the application has taken it."""
        self.output_size += len(chunk)
        if chunk:
            await self._send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})

    async def write_eof(self, chunk: bytes = b"") -> None:
        """The last part."""
        if not self._ended:
            self._ended = True
            self.output_size += len(chunk)
            await self._send({"type": "http.response.body", "body": bytes(chunk), "more_body": False})

    async def drain(self) -> None:
        """Every write waits until it is taken."""

    def enable_chunking(self) -> None:
        """The outer response's matter."""

    def enable_compression(self, encoding: str = "deflate", strategy: Any = None) -> None:
        """Never asked for: no answer of ours is compressed."""
        raise NotImplementedError(encoding, strategy)
