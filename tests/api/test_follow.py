"""Following one run: its last events come, however late the reader looks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from lineshaft.redis.client import Client
from lineshaft_api import follow
from lineshaft_api.hub import Hub
from tests.shared.runs import Desk

from .gateway import Attempt


@pytest.fixture
async def run(client: Client) -> AsyncIterator[Attempt]:
    desk = Desk(client)
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    yield Attempt(desk, run, token, thread)
    await desk.leave()


async def test_a_run_that_ends_in_a_silence_is_followed_to_its_last_event(
    client: Client, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that was stopped for a while found its reader's silence over, and the run too: it ended the stream
    before it had looked for what had come meanwhile."""
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.05)
    deaf = Hub(client)  # it does not run: as long as that, no bell is heard
    batches = follow.follow(deaf, run.desk.runs, run.thread, run.run, "0-0")
    assert await anext(batches) == []
    await run.emit("values", 1, 2)
    await run.finish()
    async with asyncio.timeout(10):
        events = [entry.event async for batch in batches for entry in batch]
    assert events == ["metadata", "values", "values"]
