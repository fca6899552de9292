"""Changes of a thread's state from outside a run: as a whole or not at all, and never beside a run."""

import asyncio
import json
from typing import Any

import pytest

from lineshaft.assistants.queries import StateQuery
from lineshaft.errors import BadRequest, Conflict, Invalid, NotFound
from lineshaft.events.log import STATE_UPDATE, EventLog
from lineshaft.ids import uuid7
from lineshaft.threads.state import EMPTY_STATE, stored_state
from lineshaft_worker.control import States

from .asker import Asker
from .in_process import InProcessWorker, Office


# updates
async def test_an_update(asker: Asker, office: Office, thread: str) -> None:
    answer = await asker.ask("update", thread, values={"log": ["x"]}, as_node="a")
    assert answer["checkpoint"] == answer["configurable"] == {
        "thread_id": thread, "checkpoint_ns": "", "checkpoint_id": answer["checkpoint_id"],
    }  # fmt: skip
    state = await asker.stored(thread)
    assert (state["values"], state["next"]) == ({"log": ["x"]}, ["b"])
    assert state["checkpoint_id"] == answer["checkpoint_id"]
    assert state["metadata"] == {
        "source": "update", "step": 0, "parents": {}, "graph_id": "linear", "thread_id": thread,
    }  # fmt: skip
    shown = await office.shown(thread)
    assert (shown["status"], shown["values"], shown["error"]) == ("interrupted", {"log": ["x"]}, None)
    await asker.ask("update", thread, values={"log": ["y"]}, as_node="c")
    assert (await office.shown(thread))["status"] == "idle"
    assert (await asker.stored(thread))["values"] == {"log": ["x", "y"]}


@pytest.mark.parametrize("size", [1, 300_000])
async def test_streams_of_the_thread_are_told_of_an_update(asker: Asker, thread: str, size: int) -> None:
    await asker.ask("update", thread, values={"log": ["x" * size]}, as_node="a")
    (entry,) = await EventLog(asker.client).read(thread, "0-0")
    assert entry.event == STATE_UPDATE
    assert json.loads(entry.data) == {"state": await asker.stored(thread), "thread_id": thread}
    with pytest.raises(BadRequest):
        await asker.ask("update", thread, values={"log": ["x"]}, as_node="nobody")
    assert len(await EventLog(asker.client).read(thread, "0-0")) == 1


@pytest.mark.usefixtures("worker")
async def test_a_run_goes_on_from_an_update(asker: Asker, office: Office, thread: str) -> None:
    await asker.ask("update", thread, values={"log": ["x"]}, as_node="a")
    assert await office.run("linear", thread) == "success"
    assert await office.values(thread) == {"log": ["x", "b", "c"]}


@pytest.mark.usefixtures("worker")
async def test_an_update_forks_from_an_older_checkpoint(asker: Asker, office: Office, thread: str) -> None:
    await office.run("linear", thread, {"log": []})
    past = (await asker.ask("history", thread, limit=3))[2]
    await asker.ask("update", thread, values={"log": ["fork"]}, as_node="b", checkpoint=past["checkpoint"])
    state = await asker.stored(thread)
    assert (state["values"], state["next"]) == ({"log": ["a", "fork"]}, ["c"])
    assert state["parent_checkpoint_id"] == past["checkpoint_id"]


@pytest.mark.usefixtures("worker")
async def test_an_update_answers_an_interrupt(asker: Asker, office: Office, thread: str) -> None:
    await office.run("asking", thread, {"log": []})
    assert (await office.shown(thread))["interrupts"]
    await asker.ask("update", thread, "asking", values={"log": ["told"]}, as_node="ask")
    shown = await office.shown(thread)
    assert (shown["status"], shown["interrupts"]) == ("interrupted", {})
    assert await office.run("asking", thread) == "success"
    assert await office.values(thread) == {"log": ["a", "told", "z"]}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("graph", "change"),
    [
        ("failing", {"values": {"log": ["x"]}, "as_node": "nobody"}),
        ("failing", {"values": ["no dict"], "as_node": "a"}),
        ("failing", {"values": {"log": 5}, "as_node": "a"}),
        ("strict", {"values": {"n": "none"}, "as_node": "a"}),  # written, but then the state cannot be read
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    asker: Asker, office: Office, thread: str, graph: str, change: dict[str, Any]
) -> None:
    await office.run("failing", thread, {"log": []})
    before = await office.shown(thread), await asker.ask("state", thread, "failing")
    outcome = await asker.outcome("update", thread, graph, **change)
    assert isinstance(outcome, BadRequest), outcome
    assert (await office.shown(thread), await asker.ask("state", thread, "failing")) == before


async def test_a_thread_that_is_not_there(asker: Asker) -> None:
    assert isinstance(await asker.outcome("update", uuid7(), values={"log": []}), NotFound)


async def test_a_thread_with_a_run_is_left_alone(asker: Asker, office: Office, thread: str) -> None:
    run = await office.start("linear", thread, {"log": []})
    for kind in ("update", "delete_run"):
        assert isinstance(await asker.outcome(kind, thread, values={"log": []}, run_id=run), Conflict)
    ((_, token),) = await office.claim()
    assert isinstance(await asker.outcome("update", thread, values={"log": []}), Conflict)
    await office.finish(run, token)
    await asker.ask("update", thread, values={"log": []}, as_node="a")


async def test_nothing_is_done_for_an_asker_that_has_gone(asker: Asker, thread: str) -> None:
    for kind in ("update", "delete_run"):
        outcome = await asker.outcome(kind, thread, gone=True, values={"log": ["x"]}, run_id=uuid7())
        assert isinstance(outcome, Conflict)
    assert (await stored_state(asker.client, thread)).is_empty


async def test_runs_wait_for_a_change(
    asker: Asker, office: Office, worker: InProcessWorker, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slow(self: States, *args: Any) -> dict[str, Any]:
        asked.set()
        await gate.wait()
        return await taken(self, *args)

    taken = States._snapshot
    monkeypatch.setattr(States, "_snapshot", slow)
    changing = asyncio.create_task(asker.ask("update", thread, values={"log": ["x"]}, as_node="c"))
    await asked.wait()
    run = await office.start("linear", thread, {"log": []})
    assert (await office.shown(thread))["status"] == "busy"
    assert isinstance(await asker.outcome("update", thread, values={"log": []}), Conflict)
    assert await office.run("linear", await office.thread(), {"log": []}) == "success"
    assert await office.status(run) == "pending"
    assert worker.runs.jobs_complete == 1
    gate.set()
    await changing
    assert await office.ended(run) == "success"
    assert await office.values(thread) == {"log": ["x", "a", "b", "c"]}


async def test_the_lock_of_a_dead_worker_opens(
    asker: Asker, office: Office, worker: InProcessWorker, thread: str
) -> None:
    """Its own writes are refused from then on, and the runs that waited go on."""
    states = States(asker.client, asker.states._graphs, worker.id)
    query = StateQuery(query_id=uuid7(), kind="update", thread_id=thread, graph_id="linear", args={})
    await asker.client.command("SET", asker.client.keys.query(query.query_id), b"", "EX", 10)

    async def change() -> None:
        async with states._change(query) as (graph, _):
            run = await office.start("linear", thread, {"log": []})
            await worker.leave(crashed=True)
            assert await office.status(run) == "pending"
            await graph.aupdate_state({"configurable": {"thread_id": thread}}, {"log": ["late"]}, "c")

    with pytest.raises(Invalid, match="interrupted"):
        await change()
    ((run, token),) = await office.claim()
    assert (await stored_state(asker.client, thread)).is_empty
    await office.finish(run, token)


# deleting a run
@pytest.mark.usefixtures("worker")
async def test_a_deleted_run_was_never_there(asker: Asker, office: Office, thread: str) -> None:
    first = await office.start("linear", thread, {"log": ["1"]})
    await office.ended(first)
    before = (await asker.ask("state", thread))["values"]
    second = await office.start("failing", thread, {"log": ["2"]})
    await office.ended(second)
    await asker.ask("delete_run", thread, run_id=second)
    assert await office.status(second) is None
    shown = await office.shown(thread)
    assert (shown["status"], shown["values"], shown["error"]) == ("idle", before, None)
    assert (await asker.stored(thread))["values"] == before
    await asker.ask("delete_run", thread, run_id=first)
    assert (await office.shown(thread))["values"] == {}
    assert await asker.stored(thread) == json.loads(EMPTY_STATE)
