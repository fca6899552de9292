"""The calls the tests make most: start a run, read a record, wait until something is so."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.contract.runs.sse import TIMEOUT, Stream, read_stream


async def stream_run(
    http: httpx.AsyncClient, thread_id: str | None, assistant: str, input: Any = None, **fields: Any
) -> Stream:
    """Create a run and read its stream to the end; `thread_id` None is stateless."""
    path = f"/threads/{thread_id}/runs/stream" if thread_id else "/runs/stream"
    body = {"assistant_id": assistant, "input": input, **fields}
    return await read_stream(http, "POST", path, body=body)


async def wait_run(
    http: httpx.AsyncClient, thread_id: str | None, assistant: str, input: Any = None, **fields: Any
) -> httpx.Response:
    path = f"/threads/{thread_id}/runs/wait" if thread_id else "/runs/wait"
    return await http.post(path, json={"assistant_id": assistant, "input": input, **fields})


async def create_run(
    http: httpx.AsyncClient, thread_id: str | None, assistant: str, input: Any = None, **fields: Any
) -> dict[str, Any]:
    path = f"/threads/{thread_id}/runs" if thread_id else "/runs"
    response = await http.post(path, json={"assistant_id": assistant, "input": input, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def slow(steps: int = 20, delay: float = 0.3, tag: str = "") -> dict[str, Any]:
    """Input of the `slow` graph."""
    return {"steps": steps, "delay": delay, "tag": tag}


async def start_slow(http: httpx.AsyncClient, thread_id: str, **fields: Any) -> str:
    """Start a long `slow` run and return its id once its first step has been saved."""
    graph_input = fields.pop("input", None) or slow(tag=fields.pop("tag", ""))
    run = await create_run(http, thread_id, "slow", graph_input, **fields)
    await until_step(http, thread_id, run["run_id"])
    return run["run_id"]


async def until_step(http: httpx.AsyncClient, thread_id: str, run_id: str) -> None:
    async def stepped() -> bool:
        state = (await http.get(f"/threads/{thread_id}/state")).json()
        own = (state.get("metadata") or {}).get("run_id") == run_id
        return own and state["values"].get("n", 0) >= 1

    await until(stepped)


async def until(check: Callable[[], Awaitable[Any]], timeout: float = TIMEOUT, every: float = 0.05) -> Any:
    """Poll `check` until it returns something true, and return that."""
    deadline = time.monotonic() + timeout
    while True:
        if found := await check():
            return found
        assert time.monotonic() < deadline, f"gave up after {timeout}s"
        await asyncio.sleep(every)


async def get_run(http: httpx.AsyncClient, thread_id: str, run_id: str) -> dict[str, Any]:
    response = await http.get(f"/threads/{thread_id}/runs/{run_id}")
    assert response.status_code == 200, response.text
    return response.json()


async def run_status(http: httpx.AsyncClient, thread_id: str, run_id: str) -> str | None:
    """The run's status, or None when the run does not exist."""
    response = await http.get(f"/threads/{thread_id}/runs/{run_id}")
    return response.json()["status"] if response.status_code == 200 else None


async def until_status(http: httpx.AsyncClient, thread_id: str, run_id: str, *wanted: Any) -> Any:
    async def reached() -> Any:
        status = await run_status(http, thread_id, run_id)
        return [status] if status in wanted else None

    return (await until(reached))[0]


async def until_thread(http: httpx.AsyncClient, thread_id: str, *wanted: str) -> dict[str, Any]:
    """Poll the thread until its status is one of `wanted`, and return it."""

    async def reached() -> Any:
        thread = await get_thread(http, thread_id)
        return thread if thread["status"] in wanted else None

    return await until(reached)


async def get_thread(http: httpx.AsyncClient, thread_id: str) -> dict[str, Any]:
    response = await http.get(f"/threads/{thread_id}")
    assert response.status_code == 200, response.text
    return response.json()


async def get_state(http: httpx.AsyncClient, thread_id: str) -> dict[str, Any]:
    return (await http.get(f"/threads/{thread_id}/state")).json()


async def get_history(http: httpx.AsyncClient, thread_id: str) -> list[dict[str, Any]]:
    return (await http.get(f"/threads/{thread_id}/history", params={"limit": 100})).json()


async def thread_runs(http: httpx.AsyncClient, thread_id: str) -> list[dict[str, Any]]:
    return (await http.get(f"/threads/{thread_id}/runs", params={"limit": 100})).json()


def run_id_of(response: httpx.Response) -> str:
    """The run id named by a response's Content-Location header."""
    return response.headers["content-location"].rsplit("/", 1)[1]


def human(text: str) -> dict[str, Any]:
    """Input of the chat-shaped graphs."""
    return {"messages": [{"role": "user", "content": text}]}


def new_id() -> str:
    return str(uuid.uuid4())


@asynccontextmanager
async def abandoned(http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> AsyncIterator[httpx.Response]:
    """Open a streaming request, hand over its headers, and drop the connection on exit."""
    async with httpx.AsyncClient(base_url=http.base_url, timeout=TIMEOUT) as own:
        async with own.stream(method, path, json=body) as response:
            assert response.status_code == 200
            yield response
