"""An agent, the assistant of the graph `g` that takes messages, as another agent talks to it."""

import asyncio
from typing import Any

import aiohttp
import msgspec

from lineshaft.ids import system_assistant

from .gateway import MESSAGES, Attempt, Gateway, events, publish

AGENT = system_assistant("g")
Task = dict[str, Any]


def human(text: str, message_id: str) -> dict[str, Any]:
    return {"type": "human", "content": text, "id": message_id}


def ai(text: str, message_id: str) -> dict[str, Any]:
    return {"type": "ai", "content": [{"type": "text", "text": text}], "id": message_id}


def says(text: str, message_id: str = "m1", **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "user", "parts": [{"kind": "text", "text": text}], "messageId": message_id, **fields}}


def gives(data: Any, message_id: str = "m1", **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "user", "parts": [{"kind": "data", "data": data}], "messageId": message_id, **fields}}


class Agent:
    """Calls of its methods."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.path = f"/a2a/{AGENT}"

    async def begin(self) -> None:
        """Make the assistant, with a graph that takes messages."""
        await self.gateway.thread()
        await publish(self.gateway.client, "g", type="object", properties={"messages": MESSAGES})

    async def call(self, method: str, params: Any = None, **headers: str) -> Any:
        """The whole answer."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.gateway.json("POST", self.path, json=body, headers={"Accept": "application/json", **headers})

    async def result(self, method: str, params: Any, **headers: str) -> Any:
        answer = await self.call(method, params, **headers)
        assert "result" in answer, answer
        return answer["result"]

    async def code(self, method: str, params: Any, **headers: str) -> int:
        """The code of an error, whose text says something."""
        error = (await self.call(method, params, **headers))["error"]
        assert error["message"]
        code: int = error["code"]
        return code

    async def going(self, method: str, params: Any, **headers: str) -> tuple["asyncio.Task[Any]", Attempt]:
        """A call that waits for its run, and that run, claimed."""
        call = asyncio.create_task(self.result(method, params, **headers))
        attempt = await self.gateway.claim()
        await self.gateway.watched(attempt.thread)
        return call, attempt

    async def send(self, params: Any, values: Any, *, method: str = "message/send", **headers: str) -> Task:
        """The task that a message leads to, whose run ends with these values."""
        call, attempt = await self.going(method, params, **headers)
        await attempt.emit("values", values)
        await attempt.finish(state=msgspec.json.encode({"values": values}))
        task: Task = await call
        return task

    async def stream(self, method: str, params: Any) -> tuple["asyncio.Task[list[Any]]", aiohttp.ClientResponse]:
        """A stream that has begun, and a task for the results that its events have."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        response = await self.gateway.http.post(self.path, json=body, headers={"Accept": "text/event-stream"})
        assert (response.status, response.content_type) == (200, "text/event-stream")

        async def whole() -> list[Any]:
            async with response:
                found = events(await response.read())
            assert {event for event, _ in found} == {"message"}
            return [data.get("result", data.get("error")) for _, data in found]

        return asyncio.create_task(whole()), response
