"""A worker that is cut off from Redis, and from nothing else: it goes on, but what it does must not count."""

import asyncio

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import KEYS, LEASE, Fleet
from tests.system.journal import Journal, until
from tests.system.line import Cut
from tests.system.server import is_alive
from tests.system.watcher import Watcher

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


def traces(fleet: Fleet, thread_id: str, run_id: str) -> list[object]:
    """All that a run could change of its thread."""
    found: list[object] = [fleet.redis.hgetall(KEYS.thread(thread_id)), fleet.redis.hgetall(KEYS.run(run_id))]
    found += [fleet.redis.hgetall(KEYS.thread_snapshot(thread_id)), fleet.redis.xrange(KEYS.thread_events(thread_id))]
    found += [fleet.redis.hgetall(KEYS.checkpoint_headers(thread_id, "")), sorted(fleet.redis.keys(f"*{thread_id}*"))]
    return found


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_run_whose_worker_is_cut_off_goes_on_elsewhere(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str, how: Cut
) -> None:
    request = {"input": journal.input(hold=5), "durability": "sync", "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        await watcher.saw(4)
        worker = fleet.of(first.pid)
        worker.line.cut(how)
        try:
            second = await journal.wait_for("began", 5, times=2)
            assert second.pid != first.pid
            assert is_alive(first.pid)
            journal.open_gate()  # for both: the one that was cut off ends its step, and tries to store what came of it
            await watcher.end()
            before = traces(fleet, thread_id, watcher.run_id)
        finally:
            worker.line.heal()
    await until(lambda: not is_alive(first.pid), "it has been replaced")
    await fleet.ready()
    assert traces(fleet, thread_id, watcher.run_id) == before
    assert watcher.attempts == [1, 2]
    assert watcher.steps == list(range(10))
    assert journal.begun() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert {line.pid for line in journal.lines("ended", 9)} == {second.pid}
    await takes_runs(worker.child, sdk, journal)


async def takes_runs(pid: int, sdk: LangGraphClient, journal: Journal) -> None:
    """Who waits longest for work gets it, so the second run at the latest is this worker's."""

    async def has_run_one() -> bool:
        await sdk.runs.wait(None, "mark", input=journal.input(name="later"))
        return pid in {line.pid for line in journal.lines("ended") if line.name == "later"}

    await until(has_run_one, "it executes runs again")


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_cut_that_is_shorter_than_the_lease_changes_nothing(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str, how: Cut
) -> None:
    request = {"input": journal.input(hold=5), "durability": "sync", "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        await watcher.saw(4)
        worker = fleet.of(first.pid)
        before = fleet.incarnations()
        worker.line.cut(how)
        try:
            journal.open_gate()
            await journal.wait_for("ended", 5)
            # Seconds: with what came before it the lease of two is not over, and a beat of the worker's falls into it.
            await asyncio.sleep(LEASE * 0.3)
            assert journal.lines("began", 6) == []  # its step is not stored, so the next one waits
        finally:
            worker.line.heal()
        await watcher.end()
    assert watcher.attempts == [1]
    assert watcher.steps == list(range(10))
    assert journal.begun() == [1] * 10
    assert {line.pid for line in journal.lines("began")} == {first.pid}
    assert "crashes" not in fleet.record(watcher.run_id)
    assert fleet.incarnations() == before
