"""Graphs that start processes of their own: the copies of a worker are not that worker, and do not outlive it."""

import asyncio
import os
import signal
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import Fleet
from tests.system.journal import PATIENCE, Journal, until
from tests.system.server import descendants, is_alive

TROUBLES = ("draining", "redis is away, trying again")

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


def troubles_of(fleet: Fleet) -> list[dict[str, Any]]:
    """What the living workers have said of troubles; other tests cut their lines to Redis."""
    living = [worker for worker in fleet.workers if worker.running]
    return [event for worker in living for trouble in TROUBLES for event in worker.events(trouble)]


@pytest.mark.parametrize(
    ("graph", "deed"),
    [
        ("faults", "fork"),
        ("threaded", "fork"),
        ("faults", "fork and quit"),
        ("threaded", "fork and quit"),
        ("faults", "fork and return"),
        ("threaded", "fork and return"),
        ("faults", "pool fork"),
        ("threaded", "pool fork"),
        ("threaded", "pool spawn"),
    ],
)
async def test_a_node_may_start_processes(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, *, thread_id: str, graph: str, deed: str
) -> None:
    """The worker goes on: neither an exit of its copies nor a signal to them is its own."""
    before, troubles = fleet.incarnations(), troubles_of(fleet)
    children = {worker.child for worker in fleet.workers if worker.running}
    times = (
        5 if deed in {"fork and quit", "fork and return"} else 1
    )  # what the copy must not do depends on what is under way just then
    for _ in range(times):
        run = await sdk.runs.create(thread_id, graph, input={**journal.input(), "do": deed})
        await asyncio.wait_for(sdk.runs.join(thread_id, run["run_id"]), PATIENCE)
        record = fleet.record(run["run_id"])
        assert (record["status"], record["attempt"]) == ("success", "1")
    assert journal.begun() == [times] * 3
    assert fleet.incarnations() == before
    assert {worker.child for worker in fleet.workers if worker.running} == children
    assert [p for child in children for p in descendants(child) if "resource_tracker" not in p.command] == []
    assert troubles_of(fleet) == troubles


async def test_what_a_graph_has_forked_dies_with_its_worker_and_does_not_hide_its_death(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    """It has copies of the pipe to the parent and of all connections."""
    run = await sdk.runs.create(
        thread_id, "faults", input={**journal.input(hold=2), "do": "fork and leave"}, durability="sync"
    )
    held = await journal.wait_for("began", 2)
    copy = (await journal.wait_for("forked", 1)).pid
    assert is_alive(copy)
    os.kill(held.pid, signal.SIGKILL)
    again = await journal.wait_for("began", 2, times=2)
    # Its parent lives and keeps the lease: were the death hidden, the run would never go on.
    assert again.pid != held.pid
    await until(lambda: not is_alive(copy), "its copy is gone")
    journal.open_gate()
    await sdk.runs.join(thread_id, run["run_id"])
    record = fleet.record(run["run_id"])
    assert (record["status"], record["attempt"], record["crashes"]) == ("success", "2", "1")


async def test_a_program_that_nobody_waits_for_ends_with_its_worker(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    await sdk.runs.wait(thread_id, "threaded", input={**journal.input(), "do": "program", "seconds": 600})
    worker = fleet.of(journal.lines("began", 1)[0].pid)
    [program] = [process.pid for process in descendants(worker.child) if "sleep" in process.command]
    assert worker.stop() == 0
    await until(lambda: not is_alive(program), "it is gone")
    fleet.worker()
