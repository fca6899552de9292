"""The routes of messages."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore
from lineshaft_api.app import build
from lineshaft_api.routes import messages

Api = TestClient[web.Request, web.Application]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings, messages.OPERATIONS))) as started:
        yield started


@pytest.fixture
async def path(client: Client) -> str:
    return f"/threads/{(await ThreadStore(client).create()).thread_id}/messages"


async def test_post_and_read(api: Api, path: str) -> None:
    assert await (await api.get(path)).json() == []
    posted = await (await api.post(path, json={"role": "user", "content": "Hello, can you help me?"})).json()
    assert posted["role"] == "user"
    assert posted["content"] == "Hello, can you help me?"
    for i in range(2):
        await api.post(path, json={"role": "assistant", "content": [{"type": "text", "text": str(i)}], "id": f"m{i}"})
    every = await (await api.get(path)).json()
    assert every[0] == posted
    assert [row["id"] for row in every[1:]] == ["m0", "m1"]
    response = await api.get(path, params={"limit": 2, "offset": 0})
    assert await response.json() == every[:2]
    assert response.headers["X-Pagination-Next"] == "2"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "robot", "content": "x"},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": {"type": "text"}},
        {"role": "user", "content": "x", "id": 1},
        {"role": "tool", "content": "x"},
    ],
)
async def test_what_is_no_message(api: Api, path: str, body: dict[str, Any]) -> None:
    response = await api.post(path, json=body)
    assert response.status == 422
    assert (await response.json())["detail"]


def called(**call: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": [call]}


@pytest.mark.parametrize(
    "call",
    [
        {"name": "add", "args": {"a": 1}, "id": "c1"},
        {"name": "add", "args": {}, "id": None, "type": "tool_call"},
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
    ],
)
async def test_a_tool_call_in_either_form_is_taken(api: Api, path: str, call: dict[str, Any]) -> None:
    response = await api.post(path, json=called(**call))
    assert (await response.json())["tool_calls"] == [call]


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"name": "add", "args": {}},
        {"name": "add", "args": "a=1", "id": "c1"},
        {"name": "add", "args": {}, "id": 1},
        {"name": "add", "args": {}, "id": "c1", "index": 0},
        {"id": "c1", "function": {"name": "add"}},
        {"id": "c1", "function": {"name": "add", "arguments": "{"}},
        {"id": "c1", "function": {"name": "add", "arguments": "[]"}},
        {"function": {"name": "add", "arguments": "{}"}},
    ],
)
async def test_a_tool_call_that_no_run_could_take_is_refused(api: Api, path: str, call: dict[str, Any]) -> None:
    response = await api.post(path, json=called(**call))
    assert response.status == 422
    assert "tool_calls[0]" in (await response.json())["detail"]
    assert await (await api.get(path)).json() == []


async def test_unknown_threads(api: Api, path: str) -> None:
    for thread_id, status in ((str(uuid.uuid4()), 404), ("bad", 422)):
        response = await api.post(f"/threads/{thread_id}/messages", json={"role": "user", "content": "x"})
        assert response.status == status
        assert (await api.get(f"/threads/{thread_id}/messages")).status == status
    assert (await api.get(path, params={"limit": 0})).status == 422
