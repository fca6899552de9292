"""What a graph can do to the process that executes it, and what becomes of its run, and of those beside it."""

import asyncio
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import KEYS, LEASE, Fleet
from tests.system.journal import Journal, Line, until

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


@pytest.mark.parametrize("graph", ["faults", "threaded"])
@pytest.mark.parametrize(("deed", "error"), [("eat memory", "MemoryError"), ("exit", "SystemExit")])
async def test_a_node_that_fails_badly_ends_its_own_run_only(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, *, thread_id: str, graph: str, deed: str, error: str
) -> None:
    before = fleet.incarnations()
    children = {worker.child for worker in fleet.workers if worker.running}
    answer: Any = await sdk.runs.wait(
        thread_id, graph, input={**journal.input(), "do": deed}, raise_error=False, durability="sync"
    )
    assert answer["__error__"]["error"] == error
    [run] = await sdk.runs.list(thread_id)
    assert run["status"] == "error"
    assert (await sdk.threads.get(thread_id))["status"] == "error"
    assert fleet.record(run["run_id"])["attempt"] == "1"
    assert "crashes" not in fleet.record(run["run_id"])
    assert fleet.incarnations() == before
    assert {worker.child for worker in fleet.workers if worker.running} == children


@pytest.mark.parametrize(("deed", "neighbours"), [("be killed", 4), ("_exit", 0), ("segfault", 0)])
async def test_a_poison_run_ends_as_a_dead_letter_and_those_beside_it_end_well(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, *, thread_id: str, deed: str, neighbours: int
) -> None:
    """`be killed`: by SIGKILL, as by the kernel when memory runs out. `_exit` with code 0 is no farewell either."""
    beside = [str((await sdk.threads.create())["thread_id"]) for _ in range(neighbours)]
    innocents = [
        await sdk.runs.create(other, "steps", input=journal.input(name=other, hold=5), durability="sync")
        for other in beside
    ]
    await until(lambda: len(journal.lines("began", 5)) == neighbours, "they are under way")
    poison = {**journal.input(name="poison"), "do": deed}
    waiting = asyncio.create_task(
        sdk.runs.wait(thread_id, "faults", input=poison, raise_error=False, durability="sync")
    )

    def deaths() -> list[Line]:
        return [line for line in journal.lines("began", 1) if line.name == "poison"]

    await until(lambda: len(deaths()) == 2, "two workers have died of it")
    # What was beside it twice is under suspicion too, and runs without other suspects: so none of them may wait now.
    journal.open_gate()
    answer: Any = await waiting
    assert answer["__error__"]["error"] == "WorkerCrashed"
    assert len({line.pid for line in deaths()}) == 3
    if not neighbours:
        # Seconds: half of one for each child that must be started anew, on a machine with nothing else to do.
        assert deaths()[-1].at - deaths()[0].at < 5 * LEASE

    [run] = await sdk.runs.list(thread_id)
    record = fleet.record(run["run_id"])
    assert (run["status"], record["attempt"], record["crashes"]) == ("error", "3", "3")
    assert (await sdk.threads.get(thread_id))["status"] == "error"
    letters = [fields for _, fields in fleet.redis.xrange(KEYS.dead()) if fields[b"run"].decode() == run["run_id"]]
    assert [(letter[b"graph"], letter[b"crashes"]) for letter in letters] == [(b"faults", b"3")]
    assert len([line for line in journal.lines("began", 0) if line.name == "poison"]) == 1  # that step was stored

    for innocent in innocents:
        await sdk.runs.join(innocent["thread_id"], innocent["run_id"])
        record = fleet.record(innocent["run_id"])
        assert record["status"] == "success"
        crashes = int(record.get("crashes", 0))
        assert crashes < 3
        assert int(record["attempt"]) == 1 + crashes
        state = await sdk.threads.get_state(innocent["thread_id"])
        assert state["values"]["done"] == list(range(10))  # type: ignore[call-overload]  # of one thread it is a dict


async def test_a_run_that_takes_too_long_ends_as_a_timeout(journal: Journal) -> None:
    with Fleet(env={"BG_JOB_TIMEOUT_SECS": "0.5"}) as fleet:
        fleet.gateway()
        fleet.worker()
        await fleet.ready()
        async with get_client(url=fleet.url) as sdk:
            thread_id = (await sdk.threads.create())["thread_id"]
            answer: Any = await sdk.runs.wait(
                thread_id, "steps", input=journal.input(hold=3, gated=False), raise_error=False, durability="sync"
            )
            assert answer["__error__"]["error"] == "TimeoutError"
            [run] = await sdk.runs.list(thread_id)
            assert run["status"] == "timeout"
            thread: Any = await sdk.threads.get(thread_id)
            assert (thread["status"], thread["values"]["done"]) == ("error", [0, 1, 2])
            assert len(journal.lines("cancelled", 3)) == 1
            # Its worker is none the worse for it.
            await sdk.runs.wait(thread_id, "mark", input=journal.input())
            assert (await sdk.threads.get(thread_id))["status"] == "idle"
