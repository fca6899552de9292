"""Connections to /a2a/{assistant_id}: silence, clients that go, gateways that stop."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api import follow
from lineshaft_api.context import DRAINING
from tests.shared.until import until

from .agent import Agent, says
from .gateway import serving


@pytest.fixture
async def agent(client: Client, settings: Settings) -> AsyncIterator[Agent]:
    async with serving(client, settings) as gateway:
        agent = Agent(gateway)
        await agent.begin()
        yield agent


async def test_long_answers_show_life(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": says("hello")}
    async with agent.gateway.http.post(agent.path, json=body) as response:
        assert await response.content.readexactly(2) == b"\n\n"
    body["method"] = "message/stream"
    async with agent.gateway.http.post(agent.path, json=body) as response:
        assert await response.content.readuntil(b": heartbeat\r\n\r\n")
    for _ in range(2):
        attempt = await agent.gateway.claim()
        await attempt.finish()


@pytest.mark.parametrize("method", ["message/send", "message/stream"])
async def test_a_client_that_goes_leaves_its_task_alone(agent: Agent, method: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": says("hello")}
    response = await agent.gateway.http.post(agent.path, json=body)
    attempt = await agent.gateway.claim()
    await agent.gateway.watched(attempt.thread)
    response.close()
    await agent.gateway.watched(attempt.thread, 0)
    assert await agent.gateway.desk.field(attempt.run, "cancel") is None
    await attempt.finish()


async def test_a_gateway_that_stops_cuts_off_and_cancels_nothing(agent: Agent) -> None:
    waiting, first = await agent.going("message/send", says("hello"))
    watching, _ = await agent.stream("message/stream", says("hello"))
    second = await agent.gateway.claim()
    await agent.gateway.watched(second.thread)
    await agent.gateway.cut_off()
    for call, attempt in ((waiting, first), (watching, second)):
        with pytest.raises(aiohttp.ClientPayloadError):
            await call
        assert await agent.gateway.desk.field(attempt.run, "cancel") is None
        await attempt.finish()


async def test_a_gateway_that_stops_gives_tasks_a_moment(agent: Agent) -> None:
    waiting, first = await agent.going("message/send", says("hello"))
    watching, _ = await agent.stream("message/stream", says("hello"))
    second = await agent.gateway.claim()
    await agent.gateway.watched(second.thread)
    stopping = asyncio.create_task(agent.gateway.stop())
    await until(agent.gateway.runner.app[DRAINING].is_set, "it stops")
    for attempt in (first, second):
        await attempt.emit("values", {"n": 1})
        await attempt.finish()
    await stopping
    assert (await waiting)["status"]["state"] == "completed"
    assert (await watching)[-1]["status"]["state"] == "completed"
