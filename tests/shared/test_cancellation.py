"""Cancelling: what the asker hears, and how a worker hears of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import Action, cancel, cancel_all, cancel_some, notifications
from lineshaft.threads.thread import ThreadStore

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def test_what_cannot_be_cancelled(desk: Desk) -> None:
    thread, other = await desk.open(), await desk.open()
    run = await desk.create(thread)
    with pytest.raises(NotFound, match="No runs found to cancel"):
        await cancel(desk.client, other, run, "interrupt", "test")
    with pytest.raises(NotFound, match="No runs found to cancel"):
        await cancel(desk.client, thread, str(uuid.uuid4()), "interrupt", "test")
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    with pytest.raises(NotFound, match="No matching runs to cancel"):
        await cancel(desk.client, thread, run, "rollback", "test")


async def test_a_run_that_is_rolled_back_is_gone_for_everybody(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    assert not await cancel(desk.client, thread, run, "rollback", "test")
    for question in (desk.runs.get(thread, run), desk.runs.record(thread, run)):
        with pytest.raises(NotFound):
            await question
    assert await desk.runs.page(thread, limit=10, offset=0) == []
    with pytest.raises(NotFound, match="No runs found"):
        await cancel(desk.client, thread, run, "interrupt", "test")
    assert await desk.finish(run, token, "interrupted", handled="rollback") == "ok"


async def test_a_worker_is_told_of_its_own_runs_only(desk: Desk) -> None:
    heard = notifications(desk.client, desk.worker)
    assert not await anext(heard)
    hearing = asyncio.ensure_future(anext(heard))
    theirs, ours = await desk.open(), await desk.open()
    await desk.create(theirs)
    await desk.lease("other")
    ((other, other_token),) = await desk.claim(worker="other")
    await desk.create(ours)
    ((own, token),) = await desk.claim()
    await cancel(desk.client, theirs, other, "interrupt", "test")
    await cancel(desk.client, ours, own, "interrupt", "test")
    assert await hearing == own
    await heard.aclose()  # type: ignore[attr-defined]  # a generator, as its type does not say
    for run, held in ((own, token), (other, other_token)):
        await desk.finish(run, held, "interrupted", handled="interrupt")
    await desk.client.script("worker_release", worker="other", crashed=False, max_crashes=3)


async def test_a_worker_hears_again_after_it_lost_its_connection(desk: Desk) -> None:
    heard = notifications(desk.client, desk.worker)
    assert not await anext(heard)
    assert await desk.client.command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    assert not await anext(heard)
    hearing = asyncio.ensure_future(anext(heard))
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    await cancel(desk.client, thread, run, "interrupt", "test")
    assert await hearing == run
    await heard.aclose()  # type: ignore[attr-defined]
    await desk.finish(run, token, "interrupted", handled="interrupt")


async def test_all_runs_of_a_status_are_cancelled_over_all_threads(desk: Desk) -> None:
    threads = [await desk.open() for _ in range(3)]
    running = [await desk.create(thread) for thread in threads]
    assert len(await desk.claim()) == 3
    queued = [await desk.create(thread) for thread in threads for _ in range(2)]
    delayed = await desk.create(threads[0], after_seconds=60)
    alone = await desk.create(None)
    assert await cancel_all(desk.client, "interrupt", "test", "pending") == 8
    assert {await desk.status(run) for run in [*queued, delayed, alone]} == {"interrupted"}
    assert {await desk.field(run, "cancel") for run in running} == {None}
    assert await cancel_all(desk.client, "rollback", "test", "running") == 3
    assert {await desk.field(run, "cancel") for run in running} == {"rollback"}
    assert await cancel_all(desk.client, "interrupt", "test") == 0


async def test_of_some_runs_those_that_are_over_or_unknown_are_passed_over(desk: Desk) -> None:
    thread = await desk.open()
    over, queued = await desk.create(thread), await desk.create(thread)
    ((_, token),) = await desk.claim()
    await desk.finish(over, token)
    runs = [(thread, over), (thread, queued), (thread, "unknown")]
    assert await cancel_some(desk.client, runs, "interrupt", "test") == 1
    assert (await desk.status(over), await desk.status(queued)) == ("success", "interrupted")


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_temporary_thread_goes_with_its_run_also_when_that_never_starts(desk: Desk, action: Action) -> None:
    await desk.open()
    run = await desk.create(None)
    thread = str(await desk.field(run, "thread"))
    assert await cancel(desk.client, thread, run, action, "test")
    assert not await ThreadStore(desk.client).exists(thread)
