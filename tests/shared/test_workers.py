"""Workers as operators see them; and one that is drained takes nothing new until it is resumed."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.errors import NotFound
from lineshaft.queues.workers import drain_worker, list_workers, named_worker, resume_worker
from lineshaft.redis.client import Client

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def test_a_drained_worker_keeps_what_it_has_and_takes_no_more(desk: Desk) -> None:
    client = desk.client
    first = await desk.create(await desk.open())
    ((_, token),) = await desk.claim()
    assert await drain_worker(client, desk.worker)
    assert not await drain_worker(client, desk.worker)
    second = await desk.create(await desk.open())
    args = {"worker": desk.worker, "lease": 10_000, "max_crashes": 3, "limits": "", "shares": ""}
    args["rooms"] = ["overflow", 1, "runs", 1]
    await client.command("DEL", client.keys.wake("runs"))
    answer = await client.script("run_claim", request="a", **args)
    assert answer == [[-1, b"overflow", b"runs"]]  # no timer, no runs, and no tokens for it
    assert await client.command("LLEN", client.keys.wake("runs")) == 1  # somebody else is woken
    assert await desk.finish(first, token) == "ok"
    await desk.lease("other")
    ((run, token),) = await desk.claim(worker="other")
    assert run == second
    await desk.finish(run, token)
    assert await resume_worker(client, desk.worker)
    assert not await resume_worker(client, desk.worker)
    third = await desk.create(await desk.open())
    ((run, token),) = await desk.claim()
    assert run == third
    await desk.finish(run, token)
    await client.script("worker_release", worker="other", crashed=False, max_crashes=3)


async def test_an_answer_that_was_lost_before_the_drain_is_given_again(desk: Desk) -> None:
    run = await desk.create(await desk.open())
    ((_, token),) = await desk.claim(request="q")
    await drain_worker(desk.client, desk.worker)
    assert await desk.claim(request="q") == [(run, token)]
    await desk.finish(run, token)


async def test_the_list_tells_what_each_holds(desk: Desk) -> None:
    run = await desk.create(await desk.open())
    await desk.claim()
    (worker,) = await list_workers(desk.client)
    assert (worker.worker, worker.host, worker.running, worker.runs) == (desk.worker, "test", 1, [run])
    assert not worker.is_drained and 0 < worker.lease_seconds_left <= 10
    await drain_worker(desk.client, desk.worker)
    assert (await list_workers(desk.client))[0].is_drained


async def test_a_worker_is_named_by_the_beginning_of_its_id(desk: Desk) -> None:
    for name in ("abc1", "abd2"):
        await desk.lease(name)
    assert await named_worker(desk.client, "abc") == "abc1"
    with pytest.raises(NotFound, match="2 workers"):
        await named_worker(desk.client, "ab")
    with pytest.raises(NotFound, match="no worker"):
        await named_worker(desk.client, "x")
    for name in ("abc1", "abd2"):
        await desk.client.script("worker_release", worker=name, crashed=False, max_crashes=3)


async def test_a_worker_that_has_gone_cannot_be_drained(client: Client) -> None:
    with pytest.raises(NotFound, match="no worker"):
        await drain_worker(client, "w")
