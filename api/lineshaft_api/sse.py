"""Server-sent events: the exact bytes that clients of the Agent Server API expect, and heartbeats through silence."""

from collections.abc import Mapping
from contextlib import aclosing

from aiohttp import web

from lineshaft.events import GAP, Entry

from .follow import Batches, while_serving

_HEARTBEAT = b": heartbeat\r\n\r\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that collects output would turn the stream into one late answer
}


def frame(entry: Entry, *, with_id: bool) -> bytes:
    """One event. Its data is compact JSON, so it has no line breaks of its own."""
    ident = b"id: " + entry.id.encode() + b"\r\n" if with_id else b""
    return b"event: " + entry.event.encode() + b"\r\ndata: " + entry.data + b"\r\n" + ident + b"\r\n"


async def stream(
    request: web.Request, batches: Batches, headers: Mapping[str, str], *, with_ids: bool
) -> web.StreamResponse:
    """Send batches of entries until they end; an empty batch is a heartbeat. A stopping gateway ends the stream early.

    Raises what writing to a client that has gone raises, and CancelledError when aiohttp notices it first.
    """
    response = web.StreamResponse(headers={**_HEADERS, **headers})
    await response.prepare(request)
    # Closed when the client has gone, not at some later garbage collection: until then the hub would feed it.
    async with aclosing(while_serving(request.app, batches)) as served:
        async for entries in served:
            frames = [frame(entry, with_id=with_ids or entry.event == GAP) for entry in entries]
            await response.write(b"".join(frames) or _HEARTBEAT)
    await response.write_eof()
    return response
