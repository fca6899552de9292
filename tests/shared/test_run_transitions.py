"""The scripts that take a run through its life, one by one: normal, repeated, stale token, wrong state."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.errors import Conflict, Fenced, NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.threads.thread import ThreadStore

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    # What a worker leaves behind when it goes is part of what the leak check looks at.
    await desk.leave()


async def test_a_run_goes_from_pending_to_running_to_success(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread, input={"a": 1})
    assert await desk.status(run) == "pending"
    assert (await ThreadStore(desk.client).get(thread)).status == "busy"
    ((claimed, token),) = await desk.claim()
    assert claimed == run and token == f"1.{desk.worker}"
    assert await desk.status(run) == "running"
    assert await desk.finish(run, token) == "ok"
    assert await desk.status(run) == "success"
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"
    assert [event for event, _ in await desk.log(thread)] == ["metadata", "end"]


async def test_a_finish_repeated_after_a_lost_answer_changes_nothing(desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    assert await desk.finish(run, token) == "ok"
    assert await desk.finish(run, token, "error") == "ok"
    assert await desk.status(run) == "success"
    assert len(await desk.log(thread)) == 2


async def test_a_stale_token_writes_nothing(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await desk.client.script("run_hand_back", run_id=run, token=token)
    ((_, newer),) = await desk.claim()
    assert newer != token
    for call in (
        desk.finish(run, token),
        desk.client.script("run_append", run_id=run, token=token, batch=1, entries=["values", "d", "{}"]),
        desk.client.script("run_hand_back", run_id=run, token=token),
    ):
        with pytest.raises(Fenced):
            await call
    assert await desk.finish(run, newer) == "ok"


async def test_runs_of_a_thread_are_claimed_one_at_a_time_in_their_order(desk: Desk) -> None:
    thread = await desk.open()
    runs = [await desk.create(thread) for _ in range(5)]
    order = []
    while claimed := await desk.claim():
        ((run, token),) = claimed
        order.append(run)
        await desk.finish(run, token)
    assert order == runs


async def test_a_hundred_runs_made_in_the_same_milliseconds_keep_their_order(desk: Desk) -> None:
    thread = await desk.open()
    runs = await asyncio.gather(*(desk.create(thread) for _ in range(100)))
    made = [run.decode() for run in await desk.client.command("ZRANGE", desk.client.keys.thread_runs(thread), 0, -1)]
    assert sorted(made) == sorted(runs)
    order = []
    while claimed := await desk.claim():
        ((run, token),) = claimed
        order.append(run)
        await desk.finish(run, token)
    assert order == made


async def test_reject_refuses_on_a_busy_thread_only(desk: Desk) -> None:
    thread = await desk.open()
    first = await desk.create(thread, multitask_strategy="reject")
    with pytest.raises(Conflict):
        await desk.create(thread, multitask_strategy="reject")
    ((_, token),) = await desk.claim()
    await desk.finish(first, token)
    await desk.create(thread, multitask_strategy="reject")


async def test_a_dead_workers_runs_go_back_to_their_place(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await desk.lease("doomed")
    ((_, token),) = await desk.claim(worker="doomed")
    await desk.client.script("worker_release", worker="doomed", crashed=True, max_crashes=3)
    assert await desk.status(run) == "pending"
    assert await desk.field(run, "crashes") == "1"
    ((again, newer),) = await desk.claim()
    assert again == run and newer != token
    with pytest.raises(Fenced):
        await desk.finish(run, token)
    await desk.finish(run, newer)


async def test_an_expired_lease_is_reaped_by_whoever_renews_next(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await desk.lease("silent")
    assert await desk.claim(worker="silent") == [(run, "1.silent")]
    await desk.client.command("ZADD", desk.client.keys.workers(), 1, "silent")
    await desk.lease(desk.worker, begin=False)
    assert await desk.status(run) == "pending"
    assert await desk.lease("silent", begin=False) == 0


async def test_nobody_is_reaped_after_a_silence_that_may_have_cost_a_lease(desk: Desk) -> None:
    """Redis was away for half a lease: a worker that was about to renew has too little of it left."""
    thread = await desk.open()
    run = await desk.create(thread)
    await desk.lease("away")
    await desk.claim(worker="away")
    await desk.client.command("ZADD", desk.client.keys.workers(), 1, "away")
    seconds, micros = await desk.client.command("TIME")
    half_a_lease_ago = int(seconds) * 1000 + int(micros) // 1000 - 5_000
    await desk.client.command("SET", desk.client.keys.beat(), half_a_lease_ago)
    await desk.lease(desk.worker, begin=False)
    assert await desk.status(run) == "running"
    assert await desk.lease("away", begin=False) == 1
    await desk.client.command("DEL", desk.client.keys.grace())
    await desk.client.script("worker_release", worker="away", crashed=False, max_crashes=3)


@pytest.mark.parametrize("hours", [1, None])
async def test_nobody_is_reaped_after_a_silence_of_the_whole_fleet(desk: Desk, hours: int | None) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await desk.lease("away")
    await desk.claim(worker="away")
    await desk.client.command("ZADD", desk.client.keys.workers(), 1, "away")
    # The last renewal by anybody was an hour ago, or longer than it is remembered: it was Redis that was away.
    if hours is None:
        await desk.client.command("DEL", desk.client.keys.beat())
    else:
        now = int((await desk.client.command("TIME"))[0])
        await desk.client.command("SET", desk.client.keys.beat(), (now - hours * 3600) * 1000, "EX", 60)
    await desk.lease(desk.worker, begin=False)
    assert await desk.status(run) == "running"
    assert await desk.lease("away", begin=False) == 1
    ((token),) = [await desk.field(run, "token")]
    await desk.finish(run, str(token))
    await desk.client.script("worker_release", worker="away", crashed=False, max_crashes=3)


async def test_a_claim_repeated_after_a_lost_answer_returns_the_same_runs(desk: Desk) -> None:
    thread = await desk.open()
    other = (await ThreadStore(desk.client).create()).thread_id
    await desk.create(thread)
    first = await desk.claim(request="r1")
    await desk.create(other)
    assert await desk.claim(request="r1") == first
    second = await desk.claim(request="r2")
    for run, token in first + second:
        await desk.finish(run, token)


async def test_a_repeated_append_adds_nothing(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    for _ in range(2):
        await desk.client.script("run_append", run_id=run, token=token, batch=1, entries=["values", "d", '{"n":1}'])
    assert [event for event, _ in await desk.log(thread)] == ["metadata", "values"]
    await desk.finish(run, token)


async def test_cancelling_a_pending_run_ends_it_at_once_and_leaves_the_thread_as_it_was(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    assert await cancel(desk.client, thread, run, "interrupt", "test")
    assert await desk.status(run) == "interrupted"
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"
    assert await desk.claim() == []
    with pytest.raises(NotFound):
        await cancel(desk.client, thread, run, "interrupt", "test")


async def test_rolling_back_a_pending_run_leaves_nothing_of_it(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    assert await cancel(desk.client, thread, run, "rollback", "test")
    assert await desk.status(run) is None
    assert await desk.client.command("EXISTS", desk.client.keys.job(run), desk.client.keys.run_input(run)) == 0


async def test_a_running_run_reads_interrupted_at_once_and_its_finish_learns_of_the_cancel(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    assert not await cancel(desk.client, thread, run, "interrupt", "test")
    assert (await desk.runs.get(thread, run)).status == "interrupted"
    # The first action stands.
    with pytest.raises(NotFound):
        await cancel(desk.client, thread, run, "rollback", "test")
    assert await desk.finish(run, token) == "interrupt"
    assert await desk.status(run) == "running"
    assert await desk.finish(run, token, "interrupted", handled="interrupt") == "ok"
    assert await desk.status(run) == "interrupted"


async def test_holdings_repeat_a_cancel_whose_notification_was_lost(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    assert await desk.client.script("worker_holdings", worker=desk.worker, count=1) == b"ok"
    await cancel(desk.client, thread, run, "interrupt", "test")
    assert await desk.client.script("worker_holdings", worker=desk.worker, count=1) == [run.encode(), b"interrupt"]
    # Again, for this answer may get lost too.
    assert await desk.client.script("worker_holdings", worker=desk.worker, count=1) == [run.encode(), b"interrupt"]
    await desk.finish(run, token, "interrupted", handled="interrupt")
    assert await desk.client.script("worker_holdings", worker=desk.worker, count=0) == []
    assert await desk.client.script("worker_holdings", worker=desk.worker, count=0) == b"ok"


async def test_a_temporary_thread_goes_with_its_run(desk: Desk) -> None:
    await desk.open()
    run = await desk.create(None)
    thread = str(await desk.field(run, "thread"))
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    with pytest.raises(NotFound):
        await ThreadStore(desk.client).get(thread)
    assert 0 < await desk.client.command("PTTL", desk.client.keys.run(run)) <= 300_000


async def test_an_enqueue_repeated_after_a_lost_answer_makes_one_run(desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    script, sent = desk.client.script, []
    original = desk.client.after

    async def twice(commands: list[tuple[object, ...]], name: str, **args: object) -> object:
        sent.append(name)
        await original(commands, name, **args)
        return await original(commands, name, **args)

    desk.client.after = twice  # type: ignore[method-assign]  # the same call sent again
    await desk.create(thread)
    assert sent == ["run_enqueue"] and script is not None
    assert await desk.client.command("ZCARD", desk.client.keys.thread_runs(thread)) == 2


async def test_a_large_input_arrives_whole(desk: Desk) -> None:
    thread = await desk.open()
    text = "x" * 3_000_000
    run = await desk.create(thread, input={"text": text})
    assert await desk.client.command("LLEN", desk.client.keys.run_input(run)) == 3
    assert await desk.client.command("TTL", desk.client.keys.run_input(run)) == -1
    shown = msgspec.json.decode(msgspec.json.encode(await desk.runs.get(thread, run)))
    assert shown["kwargs"]["input"] == {"text": text}
    await cancel(desk.client, thread, run, "rollback", "test")


async def test_the_end_of_a_rolled_back_run_is_answered_though_its_answer_got_lost(desk: Desk) -> None:
    """Its record went with it: the repetition was refused, and the worker believed the run to be another's."""
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await cancel(desk.client, thread, run, "rollback", "test")
    for _ in range(2):
        assert await desk.finish(run, token, "interrupted", handled="rollback") == "ok"
    with pytest.raises(Fenced):
        await desk.finish(run, "7.other", "interrupted", handled="rollback")


async def test_nothing_of_a_rolled_back_run_stays_that_was_on_its_way_meanwhile(desk: Desk) -> None:
    """A cancel that came while the graph waited for its last checkpoint left that for the next run to build upon."""
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await cancel(desk.client, thread, run, "rollback", "test")
    put = {"ns": "", "checkpoint_id": "c1", "header": b"h", "anatomy_text": "\1\1", "values": []}
    await desk.client.script("checkpoint_put", run_id=run, token=token, owner=run, thread_id=thread, **put)
    end = {
        "error": b"", "failure": b"", "error_class": "", "handled": "rollback", "rev": 1, "thread_status": "idle",
        "state": b"", "interrupts": b"", "content": b"", "entries": [],
    }  # fmt: skip
    answer = await desk.client.script("run_finish", run_id=run, token=token, status="interrupted", **end)
    assert answer == b"rollback"
    assert await desk.finish(run, token, "interrupted", handled="rollback") == "ok"
    assert await desk.client.command("EXISTS", desk.client.keys.checkpoint_ids(thread, "")) == 0
