"""Runs that are stopped from outside: cancelled by a client, or handed back by a worker that stops."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Literal

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from tests.system.cell import wait_for_workers
from tests.system.journal import CONFIG, Journal, until
from tests.system.server import DevServer, processes
from tests.system.watcher import Watcher

pytestmark = pytest.mark.xdist_group("cancel_and_drain")

Action = Literal["interrupt", "rollback"]
BOTH: tuple[Action, ...] = ("interrupt", "rollback")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("cancel"), "--workers", "2", config=CONFIG) as server:
        yield server


@pytest.fixture(autouse=True)
async def two_workers(server: DevServer) -> None:
    await wait_for_workers(server, 2)


async def check_cancelled(sdk: LangGraphClient, thread_id: str, run_id: str, action: Action) -> None:
    """`interrupt` keeps the steps that are done; `rollback` leaves the thread as it was, after its run of `mark`."""

    async def at_rest() -> bool:
        return (await sdk.threads.get(thread_id))["status"] != "busy"

    await until(at_rest, "the run has really ended")
    thread = await sdk.threads.get(thread_id)
    state = await sdk.threads.get_state(thread_id)
    runs_in_history = {(row["metadata"] or {})["run_id"] for row in await sdk.threads.get_history(thread_id, limit=100)}
    assert thread["values"] == state["values"]
    assert thread["status"] == ("interrupted" if action == "interrupt" else "idle")  # whether there are steps to go
    if action == "interrupt":
        assert (await sdk.runs.get(thread_id, run_id))["status"] == "interrupted"
        assert thread["values"]["done"] == [0, 0, 1, 2]
        assert state["next"] == ["step_3"]
        assert run_id in runs_in_history
    else:
        with pytest.raises(NotFoundError):
            await sdk.runs.get(thread_id, run_id)
        assert thread["values"]["done"] == [0]
        assert state["next"] == []
        assert run_id not in runs_in_history
    assert len(runs_in_history) == (2 if action == "interrupt" else 1)


@pytest.mark.parametrize("action", BOTH)
async def test_a_cancel_reaches_a_node_that_only_waits(
    sdk: LangGraphClient, journal: Journal, thread_id: str, action: Action
) -> None:
    await sdk.runs.wait(thread_id, "mark", input=journal.input())
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=3, gated=False), durability="sync")
    await journal.wait_for("began", 3)
    asked = time.time()
    await sdk.runs.cancel(thread_id, run["run_id"], wait=True, action=action)
    line = await journal.wait_for("cancelled", 3)
    assert line.at - asked < 1  # seconds; a few milliseconds when the machine has nothing else to do
    await check_cancelled(sdk, thread_id, run["run_id"], action)


@pytest.mark.parametrize("action", BOTH)
async def test_a_cancelled_run_whose_worker_dies_is_settled_by_another(
    sdk: LangGraphClient, journal: Journal, thread_id: str, action: Action
) -> None:
    await sdk.runs.wait(thread_id, "mark", input=journal.input())
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=3, gated=False), durability="sync")
    line = await journal.wait_for("began", 3)
    os.kill(line.pid, signal.SIGSTOP)  # it hears the cancel, but cannot obey any more
    try:
        await sdk.runs.cancel(thread_id, run["run_id"], action=action)
    finally:
        os.kill(line.pid, signal.SIGKILL)
    await check_cancelled(sdk, thread_id, run["run_id"], action)
    assert journal.lines("cancelled") == []
    assert journal.begun() == [2, 1, 1, 1]


def parent_of(pid: int) -> int:
    return next(process.parent for process in processes() if process.pid == pid)


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_a_worker_that_stops_hands_its_run_back_at_the_next_step(
    server: DevServer, sdk: LangGraphClient, journal: Journal, thread_id: str, durability: str
) -> None:
    request = {"input": journal.input(hold=5), "durability": durability, "stream_mode": "updates"}
    stopped = server.output.count("stopped (exit code 0)")
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        draining = server.output.count("draining")
        os.kill(parent_of(first.pid), signal.SIGTERM)
        await until(lambda: server.output.count("draining") > draining, "the worker drains")
        journal.open_gate()
        await watcher.end()
    assert journal.begun() == [1] * 10
    places = [line.pid for line in journal.lines("began")]
    assert set(places[:6]) == {first.pid} and first.pid not in places[6:]
    assert watcher.attempts == [1, 1]
    assert watcher.steps == list(range(10))
    await until(lambda: server.output.count("stopped (exit code 0)") > stopped, "the worker has left in order")


async def test_a_worker_that_stops_hands_a_run_back_whose_step_takes_too_long(
    server: DevServer, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    request = {"input": journal.input(hold=5), "durability": "sync", "stream_mode": "updates"}
    stopped = server.output.count("stopped (exit code 0)")
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        os.kill(parent_of(first.pid), signal.SIGTERM)
        given_up = await journal.wait_for("cancelled", 5)  # after the grace period: two seconds in `lineshaft dev`
        second = await journal.wait_for("began", 5, times=2)
        assert second.pid != first.pid
        assert second.at - given_up.at < 2  # seconds; some milliseconds when the machine has nothing else to do
        journal.open_gate()
        await watcher.end()
    assert journal.begun() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert watcher.attempts == [1, 1]
    assert watcher.steps == list(range(10))
    await until(lambda: server.output.count("stopped (exit code 0)") > stopped, "the worker has left in order")


async def test_a_worker_stops_although_redis_does_not_answer(server: DevServer) -> None:
    """Its lease's end does what it cannot."""
    [redis] = server.find("redis")
    worker = server.find("worker")[0]
    stopped = server.output.count("stopped (exit code 0)")
    os.kill(redis, signal.SIGSTOP)
    try:
        os.kill(worker, signal.SIGTERM)
        await until(lambda: server.output.count("stopped (exit code 0)") > stopped, "the worker has left in order")
    finally:
        os.kill(redis, signal.SIGCONT)
