"""A client of protocol v2 on a WebSocket."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from .gateway import Gateway
from .subscriber import EVERYTHING

_PATIENCE = 20.0  # seconds; events come within milliseconds


class Socket:
    """A client's end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._id = 0

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self.socket.receive(_PATIENCE)).data)
        if message["type"] == "event":
            self.events.append(message)
        return message

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """The reply; what comes before it is in `events`."""
        self._id += 1
        await self.socket.send_json({"id": self._id, "method": method, "params": params})
        while True:
            message = await self.receive()
            if message["type"] != "event":
                assert message["id"] == self._id
                return message

    async def subscribe(self, channels: list[str] | None = None, **params: Any) -> dict[str, Any]:
        reply = await self.command("subscription.subscribe", channels=channels or EVERYTHING, **params)
        result: dict[str, Any] = reply["result"]
        return result

    async def read(self, count: int) -> list[dict[str, Any]]:
        while len(self.events) < count:
            await self.receive()
        return self.events[:count]

    async def closed(self) -> int | None:
        """The code it is closed with."""
        while (message := await self.socket.receive(_PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            self.events.append(json.loads(message.data))
        return self.socket.close_code


@contextlib.asynccontextmanager
async def connected(gateway: Gateway, thread: str) -> AsyncIterator[Socket]:
    async with gateway.http.ws_connect(f"/threads/{thread}/stream/events") as socket:
        yield Socket(socket)
