"""A run's whole life in a worker: what its thread, its record and its log show in the end."""

import json
from typing import Any

import msgspec
import pytest

from lineshaft.redis.client import Client
from lineshaft.runs.run import RunStore
from lineshaft_worker import execution
from lineshaft_worker.claim import Claim
from lineshaft_worker.executor import Executor

from . import run_graphs
from .in_process import InProcessWorker, Office

ERROR = {"error": "ValueError", "message": "boom"}
USER_INTERRUPT = {"error": "UserInterrupt", "message": "a test wants it"}

pytestmark = pytest.mark.usefixtures("worker")


async def snapshot(office: Office, thread: str) -> Any:
    """The stored state, if it is the thread's present one."""
    rev, state = await office.client.command("HMGET", office.client.keys.thread_snapshot(thread), "rev", "state")
    assert rev == await office.client.command("HGET", office.client.keys.thread(thread), "rev")
    return json.loads(state)


# ends
async def test_success(office: Office) -> None:
    thread = await office.thread()
    run = await office.start("linear", thread, {"log": ["in"]})
    assert await office.ended(run) == "success"
    shown = await office.shown(thread)
    assert (shown["status"], shown["values"]) == ("idle", {"log": ["in", "a", "b", "c"]})
    assert (shown["error"], shown["interrupts"]) == (None, {})
    assert shown["metadata"]["graph_id"] == "linear"
    state = await snapshot(office, thread)
    assert state["values"] == shown["values"]
    about = {"run_id": run, "thread_id": thread, "run_attempt": 1, "step": 3}
    assert {name: state["metadata"][name] for name in about} == about
    assert await office.events(thread) == [
        ("metadata", {"run_id": run, "attempt": 1}),
        *[("values", {"log": ["in", "a", "b", "c"][:n]}) for n in (1, 2, 3, 4)],
        ("end", "success"),
    ]


async def test_a_second_run_goes_on_from_the_first(office: Office) -> None:
    thread = await office.thread()
    for _ in range(2):
        await office.run("linear", thread, {"log": ["in"]})
    assert await office.values(thread) == {"log": ["in", "a", "b", "c"] * 2}


async def test_an_error(office: Office) -> None:
    thread = await office.thread()
    assert await office.run("failing", thread, {"log": []}) == "error"
    shown = await office.shown(thread)
    assert (shown["status"], shown["error"], shown["values"]) == ("error", ERROR, {"log": ["a"]})
    state = await snapshot(office, thread)
    assert state["next"] == ["boom"] and state["tasks"][0]["error"] == "ValueError('boom')"
    assert (await office.events(thread))[-2:] == [("error", ERROR), ("end", "error")]
    assert await office.run("linear", thread, {"log": []}) == "success"
    assert (await office.shown(thread))["error"] is None


async def test_an_error_before_the_first_checkpoint(office: Office) -> None:
    assert await office.run("linear", await office.thread(), "just text") == "error"
    thread = await office.thread()
    assert await office.run("linear", thread) == "error"
    shown = await office.shown(thread)
    assert (shown["status"], shown["error"]["error"]) == ("error", "EmptyInputError")


async def test_a_state_that_cannot_be_read_ends_its_run_all_the_same(office: Office) -> None:
    """Values of a Pydantic state need not fit it; asked for its state, the graph raises that again."""
    thread = await office.thread()
    assert await office.run("strict", thread, {"n": 1}) == "error"
    shown = await office.shown(thread)
    assert shown["status"] == "error" and shown["error"]["error"] == "ValidationError"


async def test_a_node_that_raises_a_cancellation_has_failed(office: Office) -> None:
    assert await office.run("suicidal", await office.thread(), {"log": []}) == "error"


@pytest.mark.parametrize(("graph", "error"), [("broken", "RuntimeError"), ("quitting", "SystemExit")])
async def test_a_factory_that_fails_fails_its_run(office: Office, graph: str, error: str) -> None:
    thread = await office.thread()
    assert await office.run(graph, thread, {"log": []}) == "error"
    shown = await office.shown(thread)
    assert shown["status"] == "error" and shown["error"]["error"] == error
    assert await office.run("linear", thread, {"log": []}) == "success"


async def test_the_time_limit(office: Office, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "settings", msgspec.structs.replace(client.settings, bg_job_timeout_secs=0.1))
    thread = await office.thread()
    assert await office.run("held", thread, {"log": []}) == "timeout"
    shown = await office.shown(thread)
    assert (shown["status"], shown["values"]) == ("error", {"log": ["a"]})
    assert shown["error"] == {"error": "TimeoutError", "message": ""}
    assert (await office.events(thread))[-2:] == [("error", shown["error"]), ("end", "timeout")]


# pauses
async def test_an_interrupt_and_its_answer(office: Office) -> None:
    thread = await office.thread()
    assert await office.run("asking", thread, {"log": []}) == "success"
    shown = await office.shown(thread)
    state = await snapshot(office, thread)
    assert shown["status"] == "interrupted"
    assert shown["interrupts"] == {state["tasks"][0]["id"]: state["tasks"][0]["interrupts"]}
    assert state["interrupts"] == state["tasks"][0]["interrupts"]
    assert await office.run("asking", thread, command={"resume": "yes"}) == "success"
    shown = await office.shown(thread)
    assert (shown["status"], shown["interrupts"]) == ("idle", {})
    assert shown["values"] == {"log": ["a", "answer yes", "z"]}


async def test_a_breakpoint(office: Office) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": []}, interrupt_before=["b"]) == "success"
    shown = await office.shown(thread)
    assert (shown["status"], shown["interrupts"]) == ("interrupted", {})
    assert await office.run("linear", thread) == "success"
    assert await office.values(thread) == {"log": ["a", "b", "c"]}


async def test_a_run_that_has_nothing_to_do_leaves_the_thread_as_it_was(office: Office) -> None:
    thread = await office.thread()
    await office.run("linear", thread, {"log": []})
    before = await office.shown(thread)
    assert await office.run("linear", thread, command={"resume": "yes"}) == "success"
    after = await office.shown(thread)
    assert (after["status"], after["values"]) == ("idle", before["values"])


# cancels
async def test_a_silent_node_is_cancelled(office: Office) -> None:
    thread = await office.thread()
    run = await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    shown = await office.shown(thread)
    assert (shown["status"], shown["values"], shown["error"]) == ("interrupted", {"log": ["a"]}, USER_INTERRUPT)
    assert (await snapshot(office, thread))["next"] == ["hold"]
    assert [event for event, _ in await office.events(thread)][-1] == "end"
    run_graphs.GATES["gate"].set()
    assert await office.run("held", thread) == "success"
    shown = await office.shown(thread)
    assert (shown["values"], shown["error"]) == ({"log": ["a", "hold", "z"]}, None)


@pytest.mark.parametrize("first", [True, False])
async def test_a_rolled_back_run_was_never_there(office: Office, *, first: bool) -> None:
    thread = await office.thread()
    if not first:
        await office.run("held", thread, {"log": []}, interrupt_before=["hold"])
    before = await office.shown(thread)
    run = await office.start("held", thread, {"log": ["new"]})
    await office.entered("hold gate")
    await office.cancel(thread, run, "rollback")
    assert await office.ended(run) is None
    after = await office.shown(thread)
    assert after["status"] == before["status"] == ("idle" if first else "interrupted")
    assert after["values"] == before["values"] and after.get("interrupts", {}) == before.get("interrupts", {})
    assert run not in {found.run_id for found in await RunStore(office.client).page(thread, limit=10, offset=0)}
    run_graphs.GATES["gate"].set()
    assert await office.run("held", thread, {"log": []} if first else None) == "success"
    assert await office.values(thread) == {"log": ["a", "hold", "z"]}


@pytest.mark.parametrize("graph", ["converting", "ignoring"])
async def test_a_graph_that_hides_its_cancel(office: Office, graph: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_CANCEL_AGAIN", 0.05)
    thread = await office.thread()
    run = await office.start(graph, thread, {"log": [], "swallow": 1})
    await office.entered("convert" if graph == "converting" else "deaf")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    assert (await office.shown(thread))["error"] == USER_INTERRUPT


async def test_a_run_that_ignores_its_cancel_is_abandoned(
    office: Office, worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_CANCEL_AGAIN", 0.05)
    thread = await office.thread()
    run = await office.start("ignoring", thread, {"log": [], "swallow": 9})
    await office.entered("deaf")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    assert worker.runs._leaked == 1
    shown = await office.shown(thread)
    run_graphs.GATES["gate"].set()  # it goes on, and what it writes is refused
    assert await office.run("linear", thread, {"log": []}) == "success"
    assert shown["values"] == {"log": [], "swallow": 9}
    assert (await office.values(thread))["log"] == ["a", "b", "c"]


@pytest.mark.parametrize(("action", "status"), [("interrupt", "interrupted"), ("rollback", None)])
async def test_a_cancel_between_the_graphs_end_and_the_runs(
    office: Office, monkeypatch: pytest.MonkeyPatch, action: Any, status: str | None
) -> None:
    thread = await office.thread()
    taken = Executor._snapshot
    asked: list[str] = []

    async def snapshot(self: Executor, running: Claim, *args: Any, **options: Any) -> Any:
        if not asked:
            asked.append(running.run_id)
            await office.cancel(thread, running.run_id, action)
        return await taken(self, running, *args, **options)

    monkeypatch.setattr(Executor, "_snapshot", snapshot)
    run = await office.start("linear", thread, {"log": []})
    assert await office.ended(run) == status
    shown = await office.shown(thread)
    assert shown["values"] == (None if action == "rollback" else {"log": ["a", "b", "c"]})
    assert shown["status"] == "idle"


async def test_a_factory_that_hangs_is_cancelled(office: Office) -> None:
    thread = await office.thread()
    run = await office.start("slow", thread, {"log": []})
    await office.entered("opening")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    assert "closed" in run_graphs.ENTERED
    run_graphs.GATES["open"].set()
    assert await office.run("slow", thread, {"log": []}) == "success"
    assert run_graphs.ENTERED.count("closed") == 2
