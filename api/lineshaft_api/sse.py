"""Server-sent events: the exact bytes that clients of the Agent Server API expect, and heartbeats through silence."""

from collections.abc import Mapping
from contextlib import aclosing

from aiohttp import web

from lineshaft.events.log import GAP, Entry

from .follow import Batches, while_serving
from .metrics import HTTP_METRICS

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
    """Send batches of entries until they end; an empty batch is a heartbeat. With ids the client can resume the stream.

    Raises what writing to a client that has gone raises, CancelledError when aiohttp notices it first, and
    ConnectionResetError when the gateway stops.
    """
    response = web.StreamResponse(headers={**_HEADERS, **headers})
    await response.prepare(request)
    # Closed when the client has gone, not at some later garbage collection: until then the hub would feed it.
    whole = True
    async with aclosing(while_serving(request.app, batches, resumable=with_ids)) as served:
        async for entries in served:
            whole = whole and all(entry.event != GAP for entry in entries)
            frames = [frame(entry, with_id=with_ids or entry.event == GAP) for entry in entries]
            await response.write(b"".join(frames) or _HEARTBEAT)
    if "Last-Event-ID" in request.headers:
        request.app[HTTP_METRICS].note_resumed(whole=whole)
    await response.write_eof()
    return response
