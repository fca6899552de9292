"""A change of a thread's state from outside a run: its lock, and what becomes of it when nobody waits any more."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.errors import Conflict, Fenced
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def lock(desk: Desk, thread: str, question: str = "q1") -> str:
    await desk.client.command("SET", desk.client.keys.query(question), "?", "EX", 10)
    token: bytes = await desk.client.script(
        "state_lock", lock_id=question, thread_id=thread, worker=desk.worker, query_id=question
    )
    return token.decode()


async def put(desk: Desk, thread: str, token: str) -> None:
    await desk.client.script(
        "checkpoint_put", run_id="q1", token=token, owner="", thread_id=thread, ns="", checkpoint_id="c1", header=b"h",
        anatomy_text="\1\1", values=[],
    )  # fmt: skip


async def unlock(desk: Desk, token: str) -> None:
    await desk.client.script(
        "state_unlock", lock_id="q1", token=token, rev=1, thread_status="idle", state=b"{}", interrupts=b"{}",
        forget="", events_ttl=60_000, event=["state_update", "d", b"{}"],
    )  # fmt: skip


async def test_a_change_takes_the_threads_turn_and_gives_it_to_the_next_run(desk: Desk) -> None:
    thread = await desk.open()
    token = await lock(desk, thread)
    assert (await ThreadStore(desk.client).get(thread)).status == "busy"
    run = await desk.create(thread)
    assert await desk.claim() == []
    await put(desk, thread, token)
    await unlock(desk, token)
    assert [claimed for claimed, _ in await desk.claim()] == [run]


async def test_a_change_is_told_for_a_while(desk: Desk) -> None:
    thread = await desk.open()
    key = desk.client.keys.thread_events(thread)
    token = await lock(desk, thread)
    run = await desk.create(thread)
    await unlock(desk, token)
    assert await desk.log(thread) == [("state_update", "{}")]
    assert 59_000 < await desk.client.command("PTTL", key) <= 60_000
    assert await desk.client.command("EXISTS", desk.client.keys.run("q1")) == 0
    # The run that waited goes on with the log, and it is no part of that run's stream.
    await desk.claim()
    assert await desk.client.command("PTTL", key) == -1
    assert [event for event, _ in await desk.log(thread, run)] == ["metadata"]


async def test_a_log_that_ends_with_a_change_misses_no_end_of_a_run(desk: Desk) -> None:
    thread = await desk.open()
    await unlock(desk, await lock(desk, thread))
    assert await desk.client.script("repair_threads", max_crashes=3, thread_ids=[thread]) == []


async def test_a_busy_thread_is_not_changed(desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    with pytest.raises(Conflict):
        await lock(desk, thread)


async def test_what_the_client_was_told_failed_is_never_applied(desk: Desk) -> None:
    thread = await desk.open()
    token = await lock(desk, thread)
    assert await desk.client.script("query_give_up", query_id="q1") == 1
    with pytest.raises(Fenced):
        await put(desk, thread, token)
    with pytest.raises(Fenced):
        await unlock(desk, token)
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"
    assert await desk.client.command("HGET", desk.client.keys.thread(thread), "rev") is None


async def test_a_change_that_is_written_already_is_worth_waiting_for(desk: Desk) -> None:
    thread = await desk.open()
    token = await lock(desk, thread)
    await put(desk, thread, token)
    assert await desk.client.script("query_give_up", query_id="q1") == 0
    await unlock(desk, token)
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"


async def test_nobody_begins_a_change_whose_asker_has_gone(desk: Desk) -> None:
    thread = await desk.open()
    with pytest.raises(Conflict):
        await desk.client.script("state_lock", lock_id="q2", thread_id=thread, worker=desk.worker, query_id="q2")


async def test_the_lock_of_a_worker_that_died_is_opened(desk: Desk) -> None:
    thread = await desk.open()
    token = await lock(desk, thread)
    await desk.client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=3)
    with pytest.raises(Fenced):
        await put(desk, thread, token)
    assert (await ThreadStore(desk.client).get(thread)).status == "idle"


async def test_a_change_that_is_over_is_not_given_up(desk: Desk) -> None:
    """Its asker's patience ended between the change's end and its answer, and the client was told that it failed."""
    thread = await desk.open()
    token = await lock(desk, thread)
    await put(desk, thread, token)
    await unlock(desk, token)
    assert await desk.client.script("query_give_up", query_id="q1") == 0


async def test_the_end_of_a_change_is_answered_though_its_answer_got_lost(desk: Desk) -> None:
    """The repetition was refused, and the client was told that nothing of the change may have been kept."""
    thread = await desk.open()
    token = await lock(desk, thread)
    await put(desk, thread, token)
    await unlock(desk, token)
    await unlock(desk, token)
    assert await desk.log(thread) == [("state_update", "{}")]
    with pytest.raises(Fenced):
        await unlock(desk, "2.other")


async def test_a_run_that_is_half_deleted_is_worth_waiting_for(desk: Desk) -> None:
    """Its asker gave up, and was told that it failed, when the run's checkpoints were gone already."""
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    token = await lock(desk, thread)
    await desk.client.script("checkpoint_rollback", run_id="q1", token=token, target=run, limit=10, members=[])
    assert await desk.client.script("query_give_up", query_id="q1") == 0
    await unlock(desk, token)


async def test_a_worker_that_was_reaped_locks_no_thread(client: Client, desk: Desk) -> None:
    """It was stopped, taken for dead, and goes on with the question that it had: nobody would open its lock."""
    thread = await desk.open()
    await client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=3)
    with pytest.raises(Fenced, match="lost its lease"):
        await lock(desk, thread)
    assert (await ThreadStore(client).get(thread)).status == "idle"
