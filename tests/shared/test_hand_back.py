"""What must hold when a run goes back into the queue, or ends, while others of its kind are there."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def test_a_run_that_is_handed_back_goes_before_those_that_came_later(desk: Desk) -> None:
    first = await desk.create(await desk.open())
    ((_, token),) = await desk.claim()
    second = await desk.create(await desk.open())
    await desk.client.script("run_hand_back", run_id=first, token=token)
    assert [run for run, _ in await desk.claim()] == [first, second]


async def test_the_end_of_a_waiting_run_does_not_let_the_log_of_the_active_one_expire(desk: Desk) -> None:
    thread = await desk.open()
    active, waiting = await desk.create(thread), await desk.create(thread)
    ((claimed, token),) = await desk.claim()
    assert claimed == active
    await cancel(desk.client, thread, waiting, "interrupt", "test")
    log = desk.client.keys.thread_events(thread)
    assert await desk.client.command("PTTL", log) == -1
    await desk.finish(active, token)
    assert await desk.client.command("PTTL", log) > 0
