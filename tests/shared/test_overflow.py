"""Runs that wait for no slot: those that a running one waits for, and those that only have to be settled."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.errors import Invalid
from lineshaft.ids import nested_thread, uuid7
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import Action, cancel, cancel_all

from .runs import Desk

OVERFLOW_ROOM = 12


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def claim(desk: Desk, runs: int, overflow: int, worker: str = "") -> tuple[list[Any], list[tuple[str, str]]]:
    """The answer's header, and pairs of run id and token."""
    header, *rows = await desk.client.script(
        "run_claim", worker=worker or desk.worker, request=uuid7(), lease=10_000, max_crashes=3,
        limits="", shares="", rooms=["overflow", overflow, "runs", runs],
    )  # fmt: skip
    return header, [(row[0].decode(), row[2].decode()) for row in rows]


def asked_from(run_id: str) -> dict[str, Any]:
    """What a RemoteGraph in a node of `run_id` sends along."""
    return {"config": {"configurable": {"run_id": run_id}}}


async def nested(desk: Desk, thread: str, outer: str, **fields: Any) -> tuple[str, str]:
    """A run asked for from within `outer`, on its thread: its id and the thread it got."""
    run = await desk.create(thread, **asked_from(outer), **fields)
    own = await desk.field(run, "thread")
    assert own
    if own != thread and own not in desk._threads:
        desk.adopt(own)
    return run, own


async def test_a_nested_run_does_not_wait_behind_the_one_that_waits_for_it(desk: Desk) -> None:
    thread = await desk.open()
    outer = await desk.create(thread)
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    inner, own = await nested(desk, thread, outer)
    assistant = await desk.field(inner, "assistant")
    assert assistant is not None and own == nested_thread(thread, assistant)
    # The worker has no room left for ordinary runs.
    _, [(run, inner_token)] = await claim(desk, 0, OVERFLOW_ROOM)
    assert run == inner
    await desk.finish(inner, inner_token)
    # A second one goes to the same thread: the graph remembers.
    again, same = await nested(desk, thread, outer)
    assert same == own
    _, [(run, again_token)] = await claim(desk, 0, OVERFLOW_ROOM)
    assert run == again
    await desk.finish(again, again_token)
    await desk.finish(outer, token)


async def test_a_run_that_names_a_run_which_is_over_is_an_ordinary_one(desk: Desk) -> None:
    thread = await desk.open()
    outer = await desk.create(thread)
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    await desk.finish(outer, token)
    later, own = await nested(desk, thread, outer)
    assert own == thread
    assert await claim(desk, 0, OVERFLOW_ROOM) == ([-1], [])
    _, [(run, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    assert run == later
    await desk.finish(later, token)


async def test_a_nested_run_may_name_a_thread_of_its_own_choice(desk: Desk) -> None:
    thread, other = await desk.open(), await desk.open()
    outer = await desk.create(thread)
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    inner, own = await nested(desk, other, outer)
    assert own == other
    _, [(run, inner_token)] = await claim(desk, 0, OVERFLOW_ROOM)
    assert run == inner
    await desk.finish(inner, inner_token)
    await desk.finish(outer, token)


async def test_runs_are_nested_eight_deep_and_the_deepest_always_finds_a_slot(desk: Desk) -> None:
    """With shallow ones waiting for all slots, the chain that holds the others up still goes on to its end."""
    thread = await desk.open()
    outer = await desk.create(thread)
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    chain = [(outer, token, thread)]
    crowd: dict[str, str] = {}
    room = OVERFLOW_ROOM
    for depth in range(1, 9):
        inner, own = await nested(desk, chain[-1][2], chain[-1][0])
        header, claimed = await claim(desk, 0, room)
        room -= len(claimed)
        assert room >= 8 - depth
        # From the second level on shallow ones, which came before, must wait until a slot is free again.
        assert header[1:] == ([] if depth == 1 else [b"overflow"])
        chain.append((inner, dict(claimed).pop(inner), own))
        crowd |= {run: run_token for run, run_token in claimed if run != inner}
        if depth == 1:
            crowd |= {await desk.create(await desk.open(), **asked_from(outer)): "" for _ in range(20)}
    with pytest.raises(Invalid, match="nested 8 deep"):
        await desk.create(chain[-1][2], **asked_from(chain[-1][0]))
    for run, run_token, _ in reversed(chain):
        await desk.finish(run, run_token)
    for run, run_token in crowd.items():
        if run_token:
            await desk.finish(run, run_token)
        else:
            await cancel(desk.client, str(await desk.field(run, "thread")), run, "interrupt", "test")


async def test_a_worker_that_must_leave_a_due_run_wakes_another(desk: Desk) -> None:
    thread = await desk.open()
    outer = await desk.create(thread)
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    inner, _ = await nested(desk, thread, outer)
    await desk.client.command("DEL", desk.client.keys.wake("overflow"))
    assert await claim(desk, 1, 7) == ([-1, b"overflow"], [])
    assert await desk.client.command("LLEN", desk.client.keys.wake("overflow")) == 1
    await desk.lease("other")
    _, [(run, inner_token)] = await claim(desk, 1, 8, worker="other")
    assert run == inner
    await desk.finish(inner, inner_token)
    await desk.finish(outer, token)
    await desk.client.script("worker_release", worker="other", crashed=False, max_crashes=3)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize("first", ["cancel", "crash"])
async def test_a_dead_workers_cancelled_run_is_settled_though_all_slots_are_taken(
    desk: Desk, action: Action, first: str
) -> None:
    thread = await desk.open()
    run = await desk.create(thread, input={})
    await desk.lease("doomed")
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM, worker="doomed")
    put = {"ns": "", "checkpoint_id": "c1", "header": b"h", "anatomy_text": "\1\1", "values": []}
    await desk.client.script("checkpoint_put", run_id=run, token=token, owner=run, thread_id=thread, **put)

    async def crash() -> None:
        await desk.client.script("worker_release", worker="doomed", crashed=True, max_crashes=3)

    if first == "crash":
        await crash()
    assert not await cancel(desk.client, thread, run, action, "test")
    if first == "cancel":
        await crash()
    _, [(settled, token)] = await claim(desk, 0, 1)
    assert settled == run
    # Nothing is executed: it is no attempt, and those who watch are not told of one.
    assert await desk.field(run, "attempt") == "1"
    assert [event for event, _ in await desk.log(thread, run)] == ["metadata"]
    await desk.finish(run, token, "interrupted", handled=action)


async def test_all_runs_are_cancelled_wherever_they_wait(desk: Desk) -> None:
    thread = await desk.open()
    outer = await desk.create(thread)
    _, [(_, token)] = await claim(desk, 1, OVERFLOW_ROOM)
    inner, _ = await nested(desk, thread, outer)
    assert await cancel_all(desk.client, "interrupt", "test") == 2
    assert await desk.status(inner) == "interrupted"
    await desk.finish(outer, token, "interrupted", handled="interrupt")
