"""Workers that are slow, not dead: code blocks the event loop or the interpreter, or the host stops them a while."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import LEASE, Fleet
from tests.system.journal import Journal
from tests.system.watcher import Watcher

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


async def check_nobody_noticed(fleet: Fleet, journal: Journal, watcher: Watcher, before: dict[int, str]) -> None:
    """One attempt, in one process, which still has its lease."""
    assert watcher.attempts == [1]
    assert len({line.pid for line in journal.lines("began")}) == 1
    assert set(journal.begun()) == {1}
    record = fleet.record(watcher.run_id)
    assert record["status"] == "success"
    assert "crashes" not in record
    assert fleet.incarnations() == before


def seen_away(fleet: Fleet) -> list[dict[str, Any]]:
    """How often workers have said that Redis is away, in earlier tests too."""
    return [event for worker in fleet.workers for event in worker.events("redis is away, trying again")]


async def test_code_that_blocks_the_loop_for_leases_keeps_its_runs(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its neighbours in the same loop stand still, but are not taken away either; and questions are answered."""
    before, away = fleet.incarnations(), seen_away(fleet)
    beside = [str((await sdk.threads.create())["thread_id"]) for _ in range(4)]  # on both workers
    neighbours = [await sdk.runs.create(other, "steps", input=journal.input(name=other, hold=5)) for other in beside]
    await journal.wait_for("began", 5, times=len(beside))
    seconds = 5 * LEASE
    own = Journal(tmp_path_factory.mktemp("culprit"))
    blocking = {**own.input(), "do": "block", "seconds": seconds}
    request = {"input": blocking, "durability": "sync", "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "faults", **request) as watcher:
        culprit = await own.wait_for("began", 1)
        asked = time.monotonic()
        for other in (*beside, thread_id):  # more questions than one lane answers while the other sleeps
            state: Any = await sdk.threads.get_state(other)
            assert state["values"]["done"][0] == 0
        assert time.monotonic() - asked < seconds / 2  # while it blocks
        assert own.lines("ended", 1) == []
        journal.open_gate()
        await watcher.end()
    assert own.lines("ended", 1)[0].at - culprit.at >= seconds
    await check_nobody_noticed(fleet, own, watcher, before)
    for run in neighbours:
        await sdk.runs.join(run["thread_id"], run["run_id"])
        record = fleet.record(run["run_id"])
        assert (record["status"], record["attempt"]) == ("success", "1")
        assert "crashes" not in record
    assert journal.begun() == [len(beside)] * 10
    warnings = fleet.of(culprit.pid).events(
        "the event loop is blocked: all runs of this worker wait for the code at the end of this stack"
    )
    [said] = [warning for warning in warnings if watcher.run_id in warning["runs"]]
    assert seen_away(fleet) == away  # nobody read its answers
    assert "faults.py" in said["stack"] and "in block" in said["stack"]


async def test_code_that_holds_the_interpreter_for_leases_keeps_its_run(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    """No thread of its process can show life, but the CPU time that it uses does."""
    before = fleet.incarnations()
    seconds = 3 * LEASE
    request = {"input": {**journal.input(), "do": "hold the GIL", "seconds": seconds}, "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "faults", **request) as watcher:
        await watcher.end()
    assert journal.lines("ended", 1)[0].at - journal.lines("began", 1)[0].at >= seconds
    await check_nobody_noticed(fleet, journal, watcher, before)


async def test_a_worker_that_is_stopped_for_less_than_its_lease_goes_on(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    """As when its host is short of CPU: both processes stand still, and nobody takes them for dead."""
    before = fleet.incarnations()
    request = {"input": journal.input(hold=5), "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        held = await journal.wait_for("began", 5)
        worker = fleet.of(held.pid)
        pids = worker.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            journal.open_gate()
            await asyncio.sleep(LEASE * 0.4)  # the fault itself; the renewal before it is not older than a third
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        await watcher.end()
    await check_nobody_noticed(fleet, journal, watcher, before)
