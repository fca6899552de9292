"""Reads a run's stream to its end, over as many connections as it takes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.chaos.book import Book, Stream
from tests.chaos.caller import PATIENCE, SILENCE, Caller, Lost


class Reader:
    """Streams and waits of one client."""

    def __init__(self, caller: Caller, book: Book) -> None:
        self._caller = caller
        self._book = book

    @asynccontextmanager
    async def create(self, path: str, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """Create a run and read what follows. Raises Lost if its headers never came: then nothing is known of it."""
        while True:
            try:
                response = await self._open("POST", path, json=body)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
                await asyncio.sleep(0.05)
                continue
            except httpx.TransportError as error:
                raise Lost(repr(error)) from error
            break
        try:
            self._caller.look_at(response)
            if response.status_code == 503:
                raise Lost("503")
            yield response
        finally:
            await response.aclose()

    async def follow(self, stream: Stream, first: httpx.Response | None) -> None:
        """Read it to its end, from an open response on, or from a new one."""
        self._book.streams.append(stream)
        deadline = time.monotonic() + PATIENCE
        response = first
        while True:
            if response is not None and await self._read(stream, response):
                ended = time.time()  # before the question, which may have to wait for Redis
                if await self._is_over(stream):
                    break
                stream.early.append(ended)  # as a gateway does that stops
            if time.monotonic() > deadline:
                self._book.stuck.append(f"stream of run {stream.run_id} on thread {stream.thread_id}")
                return
            await asyncio.sleep(0.1)
            stream.reconnects += 1
            headers = {"Last-Event-ID": stream.ids[-1] if stream.ids else "0"} if stream.resumable else {}
            path = f"/threads/{stream.thread_id}/runs/{stream.run_id}/stream"
            try:
                response = await self._open("GET", path, headers=headers)
            except httpx.TransportError:
                response = None
                continue
            self._caller.look_at(response)
            if response.status_code == 404:
                await response.aclose()
                stream.whole = False  # rolled back, or its thread has gone: nothing is replayed of it
                break
            if response.status_code != 200:
                await response.aclose()
                response = None
        stream.ended = True

    async def _is_over(self, stream: Stream) -> bool:
        return await self._caller.status(stream.thread_id, stream.run_id) not in ("pending", "running")

    async def _open(self, method: str, path: str, **options: Any) -> httpx.Response:
        client = self._caller.any()
        return await client.send(client.build_request(method, path, timeout=SILENCE, **options), stream=True)

    async def _read(self, stream: Stream, response: httpx.Response) -> bool:
        """Whether the server has ended it."""
        try:
            ident = ""
            async for line in response.aiter_lines():
                if line.startswith("id: "):
                    ident = line.removeprefix("id: ")
                elif not line and ident:
                    stream.ids.append(ident)  # now the event is complete
                    ident = ""
        except httpx.TransportError:
            return False
        finally:
            await response.aclose()
        return True

    async def join(self, thread_id: str, run_id: str, first: httpx.Response | None = None) -> None:
        """Wait for a run's end, by the answer that is open already, or by asking again."""
        self._book.waits += 1
        deadline = time.monotonic() + PATIENCE
        response = first
        while time.monotonic() < deadline:
            try:
                if response is None:
                    response = await self._open("GET", f"/threads/{thread_id}/runs/{run_id}/join")
                self._caller.look_at(response)
                await response.aread()
                if response.status_code in (200, 404):
                    return
            except httpx.TransportError:
                pass
            finally:
                if response is not None:
                    await response.aclose()
            response = None
            await asyncio.sleep(0.1)
        self._book.stuck.append(f"join of run {run_id} on thread {thread_id}")
