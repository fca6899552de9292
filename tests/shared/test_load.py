"""What operators are told of queues and workers, in the states that runs go through."""

import uuid
from collections.abc import AsyncIterator

import pytest

from lineshaft.queues.load import QueueLoad, measure
from lineshaft.redis.client import Client

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def test_a_server_that_nobody_uses_is_empty(client: Client) -> None:
    load = await measure(client)
    assert (load.workers, load.slots, load.dead_letters, load.pending, load.running) == (0, 0, 0, 0, 0)
    assert load.queues["runs"] == QueueLoad(0, 0, 0, None, None)
    assert load.threads == {"idle": 0, "busy": 0, "interrupted": 0, "error": 0}


async def test_runs_are_counted_by_what_holds_them_up(desk: Desk) -> None:
    """One is claimed, one waits behind it, one is due later, and one is due."""
    first, later, due = [await desk.open() for _ in range(3)]
    await desk.create(first)
    await desk.create(first, multitask_strategy="enqueue")
    ((run, token),) = await desk.claim()
    await desk.create(later, after_seconds=3600)
    await desk.create(due)

    load = await measure(desk.client)

    queue = load.queues["runs"]
    assert (queue.ready, queue.delayed, queue.running, queue.waiting, queue.parked) == (1, 1, 1, 1, 0)
    assert queue.longest_wait == queue.median_wait
    assert queue.longest_wait is not None
    assert 0 <= queue.longest_wait < 60
    assert (load.pending, load.running) == (2, 1)
    assert load.threads == {"idle": 0, "busy": 3, "interrupted": 0, "error": 0}
    await desk.finish(run, token)


async def test_the_wait_is_that_of_the_run_that_has_waited_longest(desk: Desk) -> None:
    for seconds in (5, 300, 60):
        thread = await desk.open()
        run = await desk.create(thread)
        keys, since = desk.client.keys, -1000 * seconds
        await desk.client.command("HINCRBY", keys.run(run), "ready", since)
        await desk.client.command("ZINCRBY", keys.queue("runs"), since, run)
    queue = (await measure(desk.client)).queues["runs"]
    assert queue.longest_wait == pytest.approx(300, abs=30)
    assert queue.median_wait == pytest.approx(60, abs=30)


async def test_a_run_that_waited_for_its_thread_has_not_waited_for_a_worker(desk: Desk) -> None:
    """It is the first in the queue, since it was due first: it must not look as if the queue stood still."""
    client, thread = desk.client, await desk.open()
    keys = client.keys
    await desk.create(thread)
    ((first, token),) = await desk.claim()
    second = await desk.create(thread)
    assert await desk.field(second, "ready") is None
    await client.command("ZINCRBY", keys.thread_waiting(thread), -3_600_000, second)
    await desk.finish(first, token)
    assert (await measure(client)).queues["runs"].longest_wait == pytest.approx(0, abs=30)
    # Behind it stands one that waits for a worker, and nothing else.
    other = await desk.create(await desk.open())
    await client.command("HINCRBY", keys.run(other), "ready", -300_000)
    assert (await measure(client)).queues["runs"].longest_wait == pytest.approx(300, abs=30)


async def test_slots_are_those_of_workers_that_live(desk: Desk) -> None:
    client = desk.client
    workers = {uuid.uuid4().hex: slots for slots in (3, 4, 100)}
    for worker, slots in workers.items():
        info = ["slots", slots]
        await client.script("worker_renew", worker=worker, begin=True, lease=60_000, max_crashes=3, info=info)
    await client.command("ZADD", client.keys.workers(), 1, worker)  # it has been gone for long, and nobody has looked
    load = await measure(client)
    assert (load.workers, load.slots) == (2, 7)
    for worker in workers:
        await client.script("worker_release", worker=worker, crashed=False, max_crashes=3)
