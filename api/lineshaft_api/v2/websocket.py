"""Protocol v2 on a WebSocket: commands in, their replies and the events of subscriptions out."""

import asyncio
from typing import Any

from aiohttp import WSMsgType, web

from lineshaft.errors import BadRequest
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.sight import sees_thread
from lineshaft_api.context import DRAINING, SETTINGS
from lineshaft_api.operation import Operation, ThreadId, operation

from .envelope import Failure, reply
from .session import RESTARTING, SocketSession

# Seconds between two pings: proxies drop connections that are silent for a minute, and a client that does not answer
# within half of this has gone.
_PING = 20.0
_CLOSE_PATIENCE = 1.0  # seconds for a client to answer our close; it is told, and we may be in a hurry


@operation("GET", "/threads/{thread_id}/stream/events", status=101, errors=(400,), tags=("Protocol v2",), access=ITSELF)
async def open_socket(request: web.Request, thread_id: ThreadId) -> web.StreamResponse:
    """Speak protocol v2 on a WebSocket.

    Each text frame is a command, as for `/threads/{thread_id}/commands`, and gets a reply; subscriptions live as long
    as the connection. The thread need not exist yet. Close codes: 1012 when the gateway stops and 1011 when it fails
    (connect again), 4404 when the thread was deleted.
    """
    socket = web.WebSocketResponse(
        heartbeat=_PING, timeout=_CLOSE_PATIENCE, max_msg_size=request.app[SETTINGS].http_max_request_body_bytes
    )
    if not socket.can_prepare(request):
        raise BadRequest("This is for WebSockets; without one, POST here what to subscribe to")
    await sees_thread(request, thread_id)  # whoever may read no threads at all is told so
    await socket.prepare(request)
    session = SocketSession(request, thread_id, lambda document: socket.send_frame(document, WSMsgType.TEXT))
    receiving = asyncio.create_task(_receive(socket, session))
    draining = asyncio.create_task(request.app[DRAINING].wait())
    try:
        ends: list[asyncio.Future[Any]] = [receiving, draining, session.over]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if draining.done():
            await socket.close(code=RESTARTING, message=b"the gateway is stopping")
        elif session.over.done():
            await socket.close(code=session.over.result())
    finally:
        for task in (receiving, draining):
            task.cancel()
        await asyncio.wait({receiving, draining})
        await session.close()
    if not receiving.cancelled():
        receiving.result()  # raises what is nobody's fault but ours
    return socket


async def _receive(socket: web.WebSocketResponse, session: SocketSession) -> None:
    """Take commands until the client leaves."""
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await session.receive(message.data.encode())
        elif message.type is WSMsgType.BINARY:
            await socket.send_frame(
                reply(None, Failure("invalid_argument", "Commands are text frames.")), WSMsgType.TEXT
            )


OPERATIONS: list[Operation] = [open_socket]
