"""Runs that too many workers died with: they are executed no more, only settled, and kept as dead letters."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import Action, cancel

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def test_the_third_worker_that_dies_with_a_run_makes_it_a_dead_letter(desk: Desk) -> None:
    thread = await desk.open()
    poison = await desk.create(thread)
    behind = await desk.create(thread)
    for n in range(3):
        await desk.lease(f"w{n}")
        assert await desk.claim(worker=f"w{n}")
        await desk.client.script("worker_release", worker=f"w{n}", crashed=True, max_crashes=3)
    ((_, letter),) = await desk.client.command("XRANGE", desk.client.keys.dead(), "-", "+")
    assert letter[:2] == [b"run", poison.encode()]
    ((run, token),) = await desk.claim()
    assert run == poison and await desk.field(poison, "dead") == "1"  # to be settled, not to be executed
    assert await desk.field(poison, "attempt") == "3"
    await desk.finish(run, token, "error")
    ((run, token),) = await desk.claim()
    assert run == behind
    await desk.finish(run, token)


@pytest.mark.parametrize("action", [None, "interrupt", "rollback"])
async def test_a_run_that_kills_who_settles_it_ends_without_being_settled(desk: Desk, action: Action | None) -> None:
    thread = await desk.open()
    poison = await desk.create(thread, input={})
    behind = await desk.create(thread)
    ((_, token),) = await desk.claim()
    put = {"ns": "", "checkpoint_id": "c1", "header": b"h", "anatomy_text": "\1\1", "values": []}
    await desk.client.script("checkpoint_put", run_id=poison, token=token, owner=poison, thread_id=thread, **put)
    if action:
        await cancel(desk.client, thread, poison, action, "test")
    run = poison
    while run == poison:
        await desk.client.script("run_take_back", run_id=poison, token=token, max_crashes=3)
        ((run, token),) = await desk.claim()
    assert run == behind
    assert await desk.status(poison) == {None: "error", "interrupt": "interrupted", "rollback": None}[action]
    kept = await desk.client.command("ZCARD", desk.client.keys.checkpoint_ids(thread, ""))
    assert kept == (0 if action == "rollback" else 1)
    events = [event for event, _ in await desk.log(thread, poison)]
    assert events[-1] == "end" and events.count("end") == 1 and ("error" in events) == (not action)
    await desk.finish(run, token)


async def test_a_run_whose_end_always_fails_does_not_go_round_for_ever(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    for _ in range(6):  # three attempts, and as many to settle it
        ((_, token),) = await desk.claim()
        await desk.client.script("run_take_back", run_id=run, token=token, max_crashes=3)
    assert await desk.claim() == []
    assert await desk.status(run) == "error"


async def test_a_dead_letters_events_live_as_long_as_it_asked_for(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread, stream_resumable=True)
    for _ in range(6):
        ((_, token),) = await desk.claim()
        await desk.client.script("run_take_back", run_id=run, token=token, max_crashes=3)
    assert await desk.client.command("TTL", desk.client.keys.thread_events(thread)) > 80_000
