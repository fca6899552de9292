"""A receiver of webhooks on this machine."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from aiohttp import web


class Received(msgspec.Struct):
    """One call."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return msgspec.json.decode(self.body)


class Receiver:
    """Answers calls with the next of `answers`, then with 200. Those that it holds wait until `gate` is set."""

    def __init__(self, scheme: str) -> None:
        self.port = 0
        self._scheme = scheme
        self.calls: list[Received] = []
        self.answers: list[web.Response] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = 0

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    @property
    def headers(self) -> list[Mapping[str, str]]:
        return [call.headers for call in self.calls]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every path is the hook."""
        self.calls.append(Received(request.raw_path, request.headers, await request.read()))
        answer = self.answers.pop(0) if self.answers else web.Response()
        self.held += 1
        try:
            await self.gate.wait()
        finally:
            self.held -= 1
        return answer


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    receiver = Receiver("https" if tls else "http")
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
