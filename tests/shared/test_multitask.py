"""What the strategy of a new run does to the runs that are there already; and runs that are due later."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.errors import Conflict, NotFound
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore

from .runs import Desk
from .until import until


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def shown(desk: Desk, thread: str, run: str) -> str | None:
    try:
        return (await desk.runs.get(thread, run)).status
    except NotFound:
        return None


@pytest.mark.parametrize(("strategy", "seen"), [("interrupt", "interrupted"), ("rollback", None)])
async def test_a_new_run_takes_the_place_of_all_others_at_once(desk: Desk, strategy: str, seen: str | None) -> None:
    thread = await desk.open()
    running, queued, delayed = (
        await desk.create(thread), await desk.create(thread), await desk.create(thread, after_seconds=60)
    )  # fmt: skip
    ((claimed, token),) = await desk.claim()
    assert claimed == running
    new = await desk.create(thread, multitask_strategy=strategy)
    assert [await shown(desk, thread, run) for run in (running, queued, delayed)] == [seen, seen, seen]
    assert await shown(desk, thread, new) == "pending"
    assert (await ThreadStore(desk.client).get(thread)).status == "busy"
    # The worker is told; until it has stopped, nothing of the thread is claimed.
    assert await desk.field(running, "cancel") == strategy
    assert await desk.claim() == []
    status = "interrupted"
    assert await desk.finish(running, token, status, handled=strategy) == "ok"
    ((next_run, token),) = await desk.claim()
    assert next_run == new
    await desk.finish(new, token)
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"


@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
async def test_on_an_idle_thread_all_strategies_are_alike(desk: Desk, strategy: str) -> None:
    thread = await desk.open()
    run = await desk.create(thread, multitask_strategy=strategy)
    assert [claimed for claimed, _ in await desk.claim()] == [run]


async def test_the_superseded_run_names_the_one_that_came(desk: Desk) -> None:
    thread = await desk.open()
    old = await desk.create(thread)
    await desk.claim()
    new = await desk.create(thread, multitask_strategy="interrupt")
    assert await desk.field(old, "cancel_reason") == f"superseded by run {new} (multitask_strategy=interrupt)"


async def test_the_first_action_on_a_run_stands(desk: Desk) -> None:
    thread = await desk.open()
    old = await desk.create(thread)
    await desk.claim()
    await desk.create(thread, multitask_strategy="interrupt")
    await desk.create(thread, multitask_strategy="rollback")
    assert await desk.field(old, "cancel") == "interrupt"


async def test_a_delayed_run_makes_the_thread_busy_and_waits_for_its_time(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread, after_seconds=0.3)
    assert (await ThreadStore(desk.client).get(thread)).status == "busy"
    with pytest.raises(Conflict):
        await desk.create(thread, multitask_strategy="reject")
    assert await desk.claim() == []

    async def claimed() -> bool:
        return [found for found, _ in await desk.claim()] == [run]

    await until(claimed, "the run is due")


async def test_a_run_made_later_but_due_earlier_goes_first(desk: Desk) -> None:
    thread = await desk.open()
    later = await desk.create(thread, after_seconds=60)
    now = await desk.create(thread)
    ((run, token),) = await desk.claim()
    assert run == now
    await desk.finish(run, token)
    assert await desk.claim() == []
    assert await shown(desk, thread, later) == "pending"


async def test_created_at_is_when_a_run_is_due(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.runs.get(thread, await desk.create(thread, after_seconds=60))
    assert run.created_at > run.updated_at
