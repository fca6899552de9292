"""A client of protocol v2 that reads events while they come."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from .gateway import Attempt, Gateway

EVERYTHING = ["values", "updates", "messages", "tools", "custom", "lifecycle", "input", "tasks", "checkpoints"]
_PATIENCE = 20.0  # seconds; events come within milliseconds


class Subscriber:
    """An open stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.events: list[dict[str, Any]] = []
        self.heartbeats = 0

    async def until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """All events so far, once they are enough."""
        async with asyncio.timeout(_PATIENCE):
            while not enough(self.events):
                await self._frame()
        return self.events

    async def read(self, count: int) -> list[dict[str, Any]]:
        """The first `count` events."""
        return (await self.until(lambda events: len(events) >= count))[:count]

    async def heartbeat(self) -> None:
        """Wait for one."""
        before = self.heartbeats
        async with asyncio.timeout(_PATIENCE):
            while self.heartbeats == before:
                await self._frame()

    async def rest(self) -> list[dict[str, Any]]:
        """All events up to the end of the stream."""
        async with asyncio.timeout(_PATIENCE):
            while not self.response.content.at_eof():
                await self._frame()
        return self.events

    async def _frame(self) -> None:
        lines = []
        while (line := await self.response.content.readline()) not in (b"\r\n", b""):
            lines.append(line.decode().removesuffix("\r\n"))
        fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
        self.heartbeats += ": heartbeat" in lines
        if fields:
            event = json.loads(fields["data"])
            assert (fields["event"], int(fields["id"])) == (event["method"], event["seq"])
            self.events.append(event)


@contextlib.asynccontextmanager
async def subscribed(
    gateway: Gateway, thread: str, channels: list[str] | None = None, **params: Any
) -> AsyncIterator[Subscriber]:
    """A subscription whose stream has begun."""
    body = {"channels": channels or EVERYTHING, **params}
    async with gateway.http.post(f"/threads/{thread}/stream/events", json=body) as response:
        assert response.status == 200, await response.text()
        yield Subscriber(response)


async def replayed(gateway: Gateway, thread: str, count: int, **params: Any) -> list[dict[str, Any]]:
    """The first events of a new subscription."""
    async with subscribed(gateway, thread, **params) as subscriber:
        return await subscriber.read(count)


def shown(events: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    """Method, namespace and data."""
    return [(e["method"], "|".join(e["params"]["namespace"]), e["params"]["data"]) for e in events]


def lifecycle(events: list[dict[str, Any]]) -> list[str]:
    """What the root has told of itself."""
    return [
        event["params"]["data"]["event"]
        for event in events
        if event["method"] == "lifecycle" and not event["params"]["namespace"]
    ]


async def begin(gateway: Gateway, thread: str, **fields: Any) -> Attempt:
    """A run of protocol v2, claimed."""
    await gateway.desk.create(thread, protocol_v2=True, **fields)
    return await gateway.claim()


async def run(gateway: Gateway, thread: str, *events: tuple[str, Any], **end: Any) -> Attempt:
    """A run from its creation to its end."""
    attempt = await begin(gateway, thread)
    for name, data in events:
        await attempt.emit(name, data)
    await attempt.finish(**end)
    return attempt


ALL_KINDS: tuple[tuple[str, Any], ...] = (
    ("values", {"log": []}),
    ("updates", {"a": {"log": ["a"]}}),
    ("lifecycle|child:1", {"event": "started", "namespace": ["child:1"], "graph_name": "child"}),
    ("messages|child:1", {"event": "message-start", "role": "ai", "id": "m"}),
    ("messages|child:1", {"event": "message-finish"}),
    ("tools|child:1", {"event": "tool-started", "tool_call_id": "c|1", "tool_name": "add", "input": {}}),
    ("tools|child:1", {"event": "tool-finished", "tool_call_id": "c|1", "output": {"type": "tool", "content": "3"}}),
    ("custom|child:1|deep:2", {"asked": 1}),
    ("custom", {"name": "steps", "payload": {"n": 1}}),
    ("input.requested|child:1", {"interrupt_id": "i1", "payload": "sure?", "value": "sure?"}),
    ("lifecycle|child:1", {"event": "interrupted", "graph_name": "child"}),
    ("values", {"log": ["a"]}),
)
# Of a run that pauses: its start, one for each of these, five for the message of its tool, and its end.
COUNT = 1 + len(ALL_KINDS) + 5 + 1


async def whole(gateway: Gateway, thread: str) -> list[dict[str, Any]]:
    await run(gateway, thread, *ALL_KINDS, thread_status="interrupted")
    return await replayed(gateway, thread, COUNT)
