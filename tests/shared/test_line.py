"""In which order runs are claimed: by priority, fair among tenants, and so that none waits for ever."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.request import RunUser

from .runs import Desk

MINUTE = 60_000  # ms


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    await desk.open()
    yield desk
    await desk.leave()


async def send(desk: Desk, tenant: str = "", priority: int = 0, **fields: Any) -> str:
    """A run on a thread of its own."""
    if priority:
        fields["config"] = {"configurable": {"lineshaft_priority": priority}}
    run = await desk.create(None, user=RunUser(tenant) if tenant else None, **fields)
    desk.adopt(str(await desk.field(run, "thread")))
    return run


async def order(desk: Desk, count: int = 100) -> list[str]:
    """The runs in the order in which single slots take them; they end at once."""
    taken = []
    for _ in range(count):
        if not (claimed := await desk.claim(1)):
            break
        for run, token in claimed:
            taken.append(run)
            desk.forget(str(await desk.field(run, "thread")))
            await desk.finish(run, token)
    return taken


async def waited(desk: Desk, runs: list[str], milliseconds: int) -> None:
    """They came so long before."""
    for run in runs:
        await desk.client.command("HINCRBYFLOAT", desk.client.keys.run(run), "score", -milliseconds)


async def test_higher_priorities_come_first_and_equals_in_their_order(desk: Desk) -> None:
    low = [await send(desk, priority=-5) for _ in range(2)]
    usual = [await send(desk) for _ in range(2)]
    high = [await send(desk, priority=5) for _ in range(20)]
    assert await order(desk) == high + usual + low


async def test_a_low_priority_does_not_starve(desk: Desk) -> None:
    """Five levels below the others, it comes when it has waited five minutes longer."""
    old, new = await send(desk), await send(desk)
    high = [await send(desk, priority=5) for _ in range(3)]
    await waited(desk, [old], 5 * MINUTE + 1000)
    assert await order(desk) == [old, *high, new]


async def test_a_tenant_with_many_runs_does_not_delay_anothers_first(desk: Desk) -> None:
    many = [await send(desk, "many") for _ in range(40)]
    few = [await send(desk, "few") for _ in range(3)]
    taken = await order(desk)
    assert [taken.index(run) for run in few] == [1, 3, 5]
    assert [run for run in taken if run in many] == many


async def test_whoever_comes_late_has_no_turns_to_make_up_for(desk: Desk) -> None:
    """One that was served alone for long owes nothing, and one that was away has saved nothing."""
    many = [await send(desk, "many") for _ in range(20)]
    assert await order(desk, 15) == many[:15]
    few = [await send(desk, "few") for _ in range(5)]
    taken = await order(desk)
    assert sorted(taken[:4]) == sorted([*many[15:17], *few[:2]])
    assert set(taken) == {*many[15:], *few}


async def test_cancelled_runs_cost_no_turns(desk: Desk) -> None:
    other = [await send(desk, "other") for _ in range(10)]
    for run in [await send(desk, "fickle") for _ in range(10)]:
        thread = str(await desk.field(run, "thread"))
        await cancel(desk.client, thread, run, "interrupt", "test")
        desk.forget(thread)
    late = await send(desk, "fickle")
    assert (await order(desk)).index(late) <= 1
    assert other


async def test_priorities_come_before_fairness(desk: Desk) -> None:
    urgent = [await send(desk, "many", priority=1) for _ in range(3)]
    other = await send(desk, "other")
    assert await order(desk) == [*urgent, other]


async def test_a_run_that_was_handed_back_has_its_old_place(desk: Desk) -> None:
    runs = [await send(desk) for _ in range(3)]
    ((run, token),) = await desk.claim(1)
    await desk.client.script("run_hand_back", run_id=run, token=token)
    assert await order(desk) == runs


async def test_the_next_run_of_a_thread_has_the_place_of_when_it_came(desk: Desk) -> None:
    thread = await desk.open()
    first = await desk.create(thread)
    second = await desk.create(thread)
    later = [await send(desk) for _ in range(3)]
    ((run, token),) = await desk.claim(1)
    assert run == first
    await desk.finish(run, token)
    ((run, token),) = await desk.claim(1)
    assert run == second
    await desk.finish(run, token)
    assert await order(desk) == later


async def test_a_delayed_run_gets_its_place_when_it_is_due(client: Client, desk: Desk) -> None:
    delayed = [await send(desk, "many", after_seconds=100 - n) for n in range(3)]
    many = [await send(desk, "many") for _ in range(2)]
    other = [await send(desk, "other") for _ in range(3)]
    for n, run in enumerate(delayed):
        for key in (client.keys.line("runs"), client.keys.queue("runs")):
            await client.command("ZADD", key, "XX", 1000 - n, run)  # long ago
    taken = await order(desk)
    assert [run for run in taken if run in (*many, *delayed)] == [*many, *reversed(delayed)]
    # Who has the first turn of a round, of two that came in one millisecond, is open.
    assert [taken.index(run) // 2 for run in other[:2]] == [0, 1]


async def test_many_that_must_wait_in_a_band_do_not_hide_those_behind(client: Client, desk: Desk) -> None:
    """More suspects than a page has, all of the highest priority."""
    suspects = [await send(desk, priority=5) for _ in range(40)]
    for run in suspects:
        await client.command("HSET", client.keys.run(run), "crashes", 2)
    sound = [await send(desk, priority=5), await send(desk)]
    claimed = await desk.claim(4)
    assert [run for run, _ in claimed] == [suspects[0], *sound]
    for run, token in claimed:
        desk.forget(str(await desk.field(run, "thread")))
        await desk.finish(run, token)


async def test_nothing_is_kept_of_tenants_without_runs(client: Client, desk: Desk) -> None:
    for tenant in ("a", "b"):
        await send(desk, tenant, priority=2)
    await send(desk, "c", after_seconds=100)
    fields = await client.command("HKEYS", client.keys.share("runs"))
    assert sorted(fields) == [b"3 a", b"3 b"]
    await order(desk)
    assert await client.command("HKEYS", client.keys.share("runs")) in ([], [b"v3"])
