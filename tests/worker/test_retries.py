"""A run that is tried again goes on from what the first has written, and from its start if that was nothing."""

import pytest

from lineshaft.errors import Conflict
from lineshaft.ids import uuid7
from lineshaft.runs.order import Retried, order
from lineshaft.runs.request import RunCreate
from lineshaft.runs.retries import retry_run
from lineshaft.threads.messages import MessageStore, NewMessage

from . import run_graphs
from .in_process import InProcessWorker, Office

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_retry_goes_on_from_the_last_checkpoint(office: Office, thread: str) -> None:
    first = await office.start("held", thread, {"log": ["in"]}, durability="sync")
    await office.entered("hold gate")
    await office.cancel(thread, first)
    assert await office.ended(first) == "interrupted"

    retry = await retry_run(office.client, first)
    assert (retry.starts, retry.thread_id, retry.is_new) == ("from its last checkpoint", thread, True)
    await office.entered("hold gate", 2)
    run_graphs.GATES["gate"].set()
    assert await office.ended(retry.run_id) == "success"
    assert (await office.values(thread))["log"] == ["in", "a", "hold", "z"]
    assert run_graphs.ENTERED.count("a") == 1


async def test_a_message_that_came_meanwhile_is_left_to_the_next_run(office: Office, thread: str) -> None:
    """A run that goes on does not look at it, and its end would drop it."""
    first = await office.start("held", thread, {"log": ["in"]}, durability="sync")
    await office.entered("hold gate")
    await office.cancel(thread, first)
    await office.ended(first)
    await MessageStore(office.client).post(thread, NewMessage(role="user", content="wait"))
    # Its input has expired, so the new run brings none; and the thread is at rest, as after its last step.
    client = office.client
    await client.commands(("DEL", client.keys.run_input(first)), ("HSET", client.keys.thread(thread), "status", "idle"))
    retry = await retry_run(client, first)
    run_graphs.GATES["gate"].set()
    assert await office.ended(retry.run_id) == "success"
    assert await client.command("LLEN", client.keys.thread_inbox(thread)) == 1


async def test_a_node_that_failed_is_all_that_a_retry_does_again(office: Office, thread: str) -> None:
    first = await office.start("failing", thread, {"log": ["in"]})
    assert await office.ended(first) == "error"
    assert await office.field(first, "error_class") == "ValueError"
    again = await retry_run(office.client, first)
    assert await office.ended(again.run_id) == "error"
    third = await retry_run(office.client, again.run_id)
    assert await office.ended(third.run_id) == "error"
    assert len({first, again.run_id, third.run_id}) == 3
    assert (await office.values(thread))["log"] == ["in", "a"]
    assert run_graphs.ENTERED.count("a") == 1


async def test_a_retry_whose_worker_stops_goes_on_as_any_run(
    office: Office, worker: InProcessWorker, thread: str
) -> None:
    first = await office.start("held", thread, {"log": ["in"]}, durability="sync")
    await office.entered("hold gate")
    await office.cancel(thread, first)
    await office.ended(first)
    again = await retry_run(office.client, first)
    await office.entered("hold gate", 2)
    worker.runs._grace = 0
    await worker.stop()
    await office.given_back(again.run_id)
    other = InProcessWorker(office.client, worker.runs._executor._graphs)
    await other.start()
    await office.entered("hold gate", 3)
    run_graphs.GATES["gate"].set()
    assert await office.ended(again.run_id) == "success"
    assert (await office.values(thread))["log"] == ["in", "a", "hold", "z"]
    await other.close()


async def test_an_answer_is_not_given_to_a_later_question(office: Office, thread: str) -> None:
    """A bare answer that is tried again after its thread has gone on would answer whatever is asked by then."""
    await office.run("asking", thread, {"log": ["in"]})
    answer = await office.start("asking", thread, command={"resume": "yes"}, after_seconds=3600)
    await office.cancel(thread, answer)
    assert await office.ended(answer) == "interrupted"
    await office.run("asking", thread, {"log": ["again"]})
    with pytest.raises(Conflict, match="has gone on since"):
        await retry_run(office.client, answer)


async def test_an_answer_that_never_came_through_is_given_by_its_retry(office: Office, thread: str) -> None:
    await office.run("asking", thread, {"log": ["in"]})
    answer = await office.start("asking", thread, command={"resume": "yes"}, after_seconds=3600)
    await office.cancel(thread, answer)
    await office.ended(answer)
    again = await retry_run(office.client, answer)
    assert again.starts == "from its input"
    assert await office.ended(again.run_id) == "success"
    assert (await office.values(thread))["log"] == ["in", "a", "answer yes", "z"]


async def test_a_stateless_run_is_tried_again_from_its_input(office: Office) -> None:
    first = await office.start("failing", None, {"log": ["in"]})
    assert await office.ended(first) == "error"
    again = await retry_run(office.client, first)
    assert again.starts == "from its input"
    assert await office.ended(again.run_id) == "error"
    assert run_graphs.ENTERED.count("a") == 2
    assert again.thread_id != await office.field(first, "thread")


async def test_a_thread_that_goes_on_in_the_last_moment_is_noticed(office: Office, thread: str) -> None:
    """Between the look at a thread and the new run's creation another run may come and go."""
    first = await office.start("failing", thread, {"log": ["in"]})
    await office.ended(first)
    stale = Retried(first, uuid7(), first, "1")
    made = order(office.client, thread, RunCreate(assistant_id="failing"), "", retry=stale)
    with pytest.raises(Conflict, match="has gone on meanwhile"):
        await office.client.script("run_enqueue", **made.args)
