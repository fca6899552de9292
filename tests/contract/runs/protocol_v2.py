"""Protocol v2 over HTTP: send a command, collect events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from tests.contract.runs.sse import Stream, read_stream

CHANNELS = [
    "values", "updates", "messages", "tools", "lifecycle", "input", "tasks", "custom", "checkpoints",
]  # fmt: skip

ENDED = {"completed", "failed", "interrupted"}


async def command(http: httpx.AsyncClient, thread: str, method: str, params: Any = None, id: int = 1) -> dict[str, Any]:
    body = {"id": id, "method": method} | ({} if params is None else {"params": params})
    response = await http.post(f"/threads/{thread}/commands", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def start(http: httpx.AsyncClient, thread: str, assistant: str, input: Any, **params: Any) -> str:
    """`run.start`; returns the run id."""
    reply = await command(http, thread, "run.start", {"assistant_id": assistant, "input": input, **params})
    assert reply["type"] == "success", reply
    return reply["result"]["run_id"]


def root_ends(count: int = 1) -> Callable[[Stream], bool]:
    """True once the root namespace has reported `count` terminal lifecycle events."""

    def check(stream: Stream) -> bool:
        return sum(is_root_end(e.data) for e in stream.events) >= count

    return check


def is_root_end(event: dict[str, Any]) -> bool:
    params = event["params"]
    return event["method"] == "lifecycle" and not params["namespace"] and params["data"]["event"] in ENDED


async def subscribe(
    http: httpx.AsyncClient,
    thread: str,
    channels: list[str] | None = None,
    *,
    until: Callable[[Stream], bool] | None = None,
    timeout: float = 15,
    **filters: Any,
) -> Stream:
    body = {"channels": channels or CHANNELS, **filters}
    path = f"/threads/{thread}/stream/events"
    return await read_stream(http, "POST", path, body=body, until=until, timeout=timeout)


async def watch_run(
    http: httpx.AsyncClient, thread: str, assistant: str, input: Any, channels: list[str] | None = None
) -> list[dict[str, Any]]:
    """Subscribe first, start a run, and return its events up to its end."""
    wanted = channels or CHANNELS
    if "lifecycle" not in wanted:
        wanted = [*wanted, "lifecycle"]
    watching = asyncio.create_task(subscribe(http, thread, wanted, until=root_ends()))
    await asyncio.sleep(0.2)
    await start(http, thread, assistant, input)
    return [e.data for e in (await watching).events]


def methods(events: list[dict[str, Any]]) -> list[str]:
    return [e["method"] for e in events]


def payloads(events: list[dict[str, Any]], method: str, root: bool = False) -> list[Any]:
    return [e["params"]["data"] for e in events if e["method"] == method and not (root and e["params"]["namespace"])]
