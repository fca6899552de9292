"""A run that kills its workers is found out without taking its neighbours with it."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.errors import Fenced
from lineshaft.redis.client import Client

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def test_whoever_was_beside_the_poison_survives_it(desk: Desk) -> None:
    threads = [await desk.open() for _ in range(5)]
    poison, *innocent = [await desk.create(thread) for thread in threads]
    done: list[str] = []
    for worker in range(12):
        await desk.lease(f"w{worker}")
        claimed = await desk.claim(worker=f"w{worker}")
        if poison in dict(claimed) and not await desk.field(poison, "dead"):
            await desk.client.script("worker_release", worker=f"w{worker}", crashed=True, max_crashes=3)
            continue
        for run, token in claimed:
            await desk.finish(run, token, "error" if run == poison else "success")
            done.append(run)
        await desk.client.script("worker_release", worker=f"w{worker}", crashed=False, max_crashes=3)
    assert sorted(done) == sorted([poison, *innocent])
    assert await desk.status(poison) == "error"
    assert await desk.field(poison, "crashes") == "3"


async def test_a_worker_executes_one_suspect_at_a_time(desk: Desk) -> None:
    threads = [await desk.open() for _ in range(3)]
    first, second, sound = [await desk.create(thread) for thread in threads]
    for run in (first, second):
        await desk.client.command("HSET", desk.client.keys.run(run), "crashes", 2)
    claimed = dict(await desk.claim())
    if second in claimed:  # made in the same millisecond, they come in any order
        first, second = second, first
    assert set(claimed) == {first, sound}
    assert await desk.claim() == []
    await desk.lease("other")
    assert [run for run, _ in await desk.claim(worker="other")] == [second]
    await desk.client.script("worker_release", worker="other", crashed=False, max_crashes=3)
    await desk.finish(first, claimed[first])
    assert [run for run, _ in await desk.claim()] == [second]


async def test_many_suspects_do_not_hide_the_runs_behind_them(desk: Desk) -> None:
    suspects = [await desk.create(await desk.open()) for _ in range(6)]
    for run in suspects:
        await desk.client.command("HSET", desk.client.keys.run(run), "crashes", 2)
    sound = await desk.create(await desk.open())
    claimed = {run for run, _ in await desk.claim(room=2)}
    assert len(claimed) == 2 and sound in claimed


async def test_the_last_worker_of_a_dead_letter_has_not_ended_it(desk: Desk) -> None:
    """It was told that its end counted, though the run is an error and its result is nowhere."""
    run = await desk.create(await desk.open())
    token = ""
    for _ in range(6):  # three that executed it, and three that were to settle it
        ((_, token),) = await desk.claim()
        await desk.client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=3)
        await desk.lease(desk.worker)
    assert await desk.status(run) == "error"
    with pytest.raises(Fenced):
        await desk.finish(run, token)
