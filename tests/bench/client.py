"""The requests of the scenarios: raw aiohttp, so that the client costs little beside the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from tests.bench.graphs import STEPS, TOKENS, graph_input


class WrongAnswer(Exception):
    """The server did not do what is being measured."""


class Client:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def thread(self) -> str:
        return str((await self._post("/threads", {}))["thread_id"])

    async def wait(self, graph: str, thread: str) -> dict[str, Any]:
        """Run the graph to its end and return its values."""
        values = await self._post(f"/threads/{thread}/runs/wait", _run(graph))
        if graph == "steps" and values.get("n") != STEPS:
            raise WrongAnswer(f"steps: {values}")
        if graph == "echo" and len(values.get("messages", ())) < 2:
            raise WrongAnswer(f"echo: {values}")
        return values

    async def stream(self, graph: str, thread: str) -> None:
        """Read a whole run as message chunks."""
        body = {**_run(graph), "stream_mode": "messages-tuple"}
        async with self.session.post(f"/threads/{thread}/runs/stream", data=msgspec.json.encode(body)) as response:
            text = await response.read()
        if response.status != 200 or text.count(b"event: messages\r\n") < TOKENS:
            raise WrongAnswer(f"stream: status {response.status}, {text[-200:]!r}")

    async def enqueue(self, graph: str, thread: str) -> str:
        return str((await self._post(f"/threads/{thread}/runs", _run(graph)))["run_id"])

    async def join(self, thread: str, run: str) -> dict[str, Any]:
        async with self.session.get(f"/threads/{thread}/runs/{run}/join") as response:
            return await _decoded(response)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.session.post(path, data=msgspec.json.encode(body)) as response:
            return await _decoded(response)


async def _decoded(response: aiohttp.ClientResponse) -> dict[str, Any]:
    raw = await response.read()
    if response.status != 200:
        raise WrongAnswer(f"{response.method} {response.url.path}: {response.status} {raw[:200]!r}")
    answer: dict[str, Any] = msgspec.json.decode(raw)
    if "__error__" in answer:
        raise WrongAnswer(f"{response.method} {response.url.path}: {answer['__error__']}")
    return answer


def _run(graph: str) -> dict[str, Any]:
    return {"assistant_id": graph, "input": graph_input(graph)}


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=30)  # seconds for one request; the slowest takes well under one
    headers = {"content-type": "application/json"}
    async with aiohttp.ClientSession(base_url=url, timeout=timeout, headers=headers) as session:
        yield Client(session)
