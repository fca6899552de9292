"""Reads a server-sent event stream the way a browser does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT = 30.0  # seconds a test waits for anything before it fails; a run of the fixture graphs takes 6 at most


@dataclass
class Event:
    """One server-sent event; `data` is decoded JSON."""

    event: str
    data: Any
    id: str | None = None

    @property
    def mode(self) -> str:
        return self.event.split("|", 1)[0]

    @property
    def namespace(self) -> list[str]:
        return self.event.split("|")[1:]


@dataclass
class Stream:
    """A whole SSE response: status, headers, events in order, comment lines."""

    status: int
    headers: httpx.Headers
    events: list[Event] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    raw: str = ""

    def names(self) -> list[str]:
        return [e.event for e in self.events]

    def data(self, name: str) -> list[Any]:
        return [e.data for e in self.events if e.event == name]

    def ids(self) -> list[str | None]:
        return [e.id for e in self.events]

    @property
    def run_id(self) -> str:
        return self.data("metadata")[0]["run_id"]


async def iter_sse(response: httpx.Response) -> AsyncIterator[Event | str]:
    """Yield an `Event` per frame and a `str` per comment line."""
    name = ""
    data: list[str] = []
    ident: str | None = None
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield line[1:].strip()
        elif line == "":
            if name or data:
                yield Event(name, json.loads("\n".join(data)) if data else None, ident)
            name, data, ident = "", [], None
        else:
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                ident = value


async def read_stream(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
    until: Callable[[Stream], bool] | None = None,
    timeout: float = TIMEOUT,
) -> Stream:
    """Read an SSE response to its end, or until `until(stream)` is true, or until `timeout`."""
    async with http.stream(method, path, json=body, headers=headers) as response:
        out = Stream(response.status_code, response.headers)
        if response.status_code != 200:
            out.raw = (await response.aread()).decode()
            return out

        async def drain() -> None:
            async for item in iter_sse(response):
                if isinstance(item, Event):
                    out.events.append(item)
                else:
                    out.comments.append(item)
                if until and until(out):
                    return

        with suppress(TimeoutError, httpx.ReadTimeout):
            await asyncio.wait_for(drain(), timeout)
    return out
