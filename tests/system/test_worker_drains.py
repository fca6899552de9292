"""Workers that stop: what they have goes on elsewhere at once, and at nobody's expense."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import LEASE, Fleet, Worker
from tests.system.journal import PATIENCE, Journal, until
from tests.system.server import is_alive

pytestmark = pytest.mark.xdist_group("faults")

HOUR = 3600


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> AsyncIterator[None]:
    """The worker that a test stops is replaced for the next test."""
    await fleet.ready()
    yield
    if sum(worker.running for worker in fleet.workers) < 2:
        fleet.worker()


async def exit_code(worker: Worker) -> int:
    return await asyncio.to_thread(worker.wait, PATIENCE)


async def test_a_worker_that_stops_takes_nothing_new_and_hands_back_what_it_has(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=5), durability="sync")
    first = await journal.wait_for("began", 5)
    worker = fleet.of(first.pid)
    os.kill(worker.pid, signal.SIGTERM)
    await until(lambda: worker.events("draining"), "it drains")
    for _ in range(4):  # during its grace period of a second
        await sdk.runs.wait(None, "mark", input=journal.input(name="new"))
    assert first.pid not in {line.pid for line in journal.lines("began") if line.name == "new"}
    given_up = await journal.wait_for("cancelled", 5)
    second = await journal.wait_for("began", 5, times=2)
    # Some milliseconds on a machine with nothing else to do. Without the token that wakes the other it would look for
    # work after four seconds at the earliest. That it was handed back, and not found later, its attempts tell.
    assert second.at - given_up.at < 1.5 * LEASE
    assert second.pid != first.pid
    assert await exit_code(worker) == 0
    journal.open_gate()
    await sdk.runs.join(thread_id, run["run_id"])
    record = fleet.record(run["run_id"])
    assert (record["status"], record["attempt"]) == ("success", "1")
    assert "crashes" not in record


async def test_a_node_that_is_stuck_in_a_thread_does_not_hold_its_worker_up(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    """Nothing can stop a thread but the end of its process."""
    stuck = {**journal.input(), "do": "sleep", "seconds": HOUR}
    run = await sdk.runs.create(thread_id, "threaded", input=stuck, durability="sync")
    first = await journal.wait_for("began", 1)
    worker = fleet.of(first.pid)
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    assert await exit_code(worker) == 0
    assert time.monotonic() - began < 10  # seconds; its grace period is one, what it is stuck in takes an hour
    await journal.wait_for("began", 1, times=2)
    await sdk.runs.cancel(thread_id, run["run_id"], wait=True)
    assert fleet.record(run["run_id"])["attempt"] == "1"


async def test_a_second_signal_ends_it_at_once_and_is_not_counted_against_its_runs(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    patient = fleet.worker(BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS=str(HOUR))
    await fleet.ready()
    runs = []
    while patient.child not in {line.pid for line in journal.lines("began", 5)}:
        thread = await sdk.threads.create()
        runs.append(await sdk.runs.create(thread["thread_id"], "steps", input=journal.input(hold=5), durability="sync"))
        await journal.wait_for("began", 5, times=len(runs))
    child = patient.child
    begun = len(runs)
    os.kill(patient.pid, signal.SIGTERM)
    await until(lambda: patient.events("draining"), "it drains")
    os.kill(patient.pid, signal.SIGTERM)
    assert await exit_code(patient) == 0
    assert not is_alive(child)
    await journal.wait_for("began", 5, times=begun + 1)
    journal.open_gate()
    for run in runs:
        await sdk.runs.join(run["thread_id"], run["run_id"])
        record = fleet.record(run["run_id"])
        assert (record["status"], record["attempt"]) == ("success", "1")
        assert "crashes" not in record  # it was released, and not found out by the end of its lease
    assert thread_id


async def test_a_worker_that_cannot_reach_redis_stops_all_the_same(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    """The end of its lease gives its run to another meanwhile."""
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=5), durability="sync")
    first = await journal.wait_for("began", 5)
    worker = fleet.of(first.pid)
    worker.line.cut("silent")
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    second = await journal.wait_for("began", 5, times=2)
    assert second.pid != first.pid
    journal.open_gate()
    await sdk.runs.join(thread_id, run["run_id"])
    assert await exit_code(worker) == 0
    # Its grace period of a second, and five seconds each for a claim under way, the hand-back and the farewell.
    assert time.monotonic() - began < 20
    record = fleet.record(run["run_id"])
    assert (record["status"], record["attempt"], record["crashes"]) == ("success", "2", "1")
