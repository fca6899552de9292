"""Pausing and draining queues: what goes on, what stops, and that nothing is forgotten when it ends."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.errors import Invalid, NotFound, Unavailable
from lineshaft.queues.control import QueueState, drain, pause, read_states, resume
from lineshaft.redis.client import Client
from lineshaft.runs.request import RunCreate

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def tokens(client: Client) -> int:
    return int(await client.command("LLEN", client.keys.wake("runs")))


async def test_a_paused_queue_takes_runs_and_gives_none(client: Client, desk: Desk) -> None:
    first, second = await desk.open(), await desk.open()
    await desk.create(first)
    ((running, token),) = await desk.claim()
    assert await pause(client, "runs") == QueueState("runs", "paused")
    run = await desk.create(second)
    await client.command("DEL", client.keys.wake("runs"))
    assert await desk.claim() == []
    assert await tokens(client) == 0, "an idle worker would spin"
    assert await desk.finish(running, token) == "ok"

    await resume(client, "runs")
    assert await tokens(client) == 1, "nobody would hear of the run that waits"
    ((claimed, token),) = await desk.claim()
    assert claimed == run
    await desk.finish(run, token)


async def test_a_paused_queue_keeps_no_timer(client: Client, desk: Desk) -> None:
    """A delayed run whose time comes during a pause starts when the pause ends."""
    await desk.create(await desk.open(), after_seconds=30)
    await pause(client, "runs")
    args = {"worker": desk.worker, "lease": 10_000, "max_crashes": 3, "limits": "", "shares": "", "rooms": ["runs", 1]}
    ((next_due, *_), *_) = await client.script("run_claim", request="a", **args)
    assert next_due == -1
    await resume(client, "runs")
    ((next_due, *_), *_) = await client.script("run_claim", request="b", **args)
    assert 0 < next_due <= 30_000


async def test_a_draining_queue_executes_what_it_has(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    waiting = await desk.create(thread)
    await drain(client, "runs")
    with pytest.raises(Unavailable, match="Queue runs is being drained"):
        await desk.create(thread)
    request = msgspec.json.decode(b'{"assistant_id":"g"}', type=RunCreate)
    with pytest.raises(Unavailable, match="drained"):
        await desk.runs.create_batch([request, request])
    ((run, token),) = await desk.claim()
    await desk.finish(run, token)
    ((run, token),) = await desk.claim()
    assert run == waiting
    await desk.finish(run, token)
    await resume(client, "runs")
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    await desk.finish(run, token)


async def test_runs_that_others_wait_for_go_on_beside_a_stopped_queue(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    outer = await desk.create(thread)
    ((_, token),) = await desk.claim()
    for order in (drain, pause):
        await order(client, "runs")
        inner = await desk.create(None, config={"configurable": {"run_id": outer}})
        ((claimed, inner_token),) = await desk.claim()
        assert claimed == inner
        await desk.finish(inner, inner_token)
    await desk.finish(outer, token)
    await resume(client, "runs")


async def test_all_known_queues_are_listed(client: Client) -> None:
    assert await read_states(client) == [QueueState("runs", "open")]
    await asyncio.gather(pause(client, "runs"), pause(client, "runs"))
    assert await read_states(client) == [QueueState("runs", "paused")]
    await client.command("HSET", client.keys.queues(), "batch", "of a newer version")
    assert await read_states(client) == [QueueState("batch", "open"), QueueState("runs", "paused")]


async def test_only_known_queues_are_ordered_to_stop(client: Client) -> None:
    with pytest.raises(NotFound, match=r"Queue 'bacth' not found\. There are: runs"):
        await pause(client, "bacth")
    with pytest.raises(Invalid, match="overflow"):
        await drain(client, "overflow")
