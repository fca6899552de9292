"""Cancels that must arrive although something is lost on the way, and runs that do not want to hear of them."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from tests.system.fleet import KEYS, LEASE, Fleet
from tests.system.journal import Journal, until
from tests.system.server import is_alive

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


async def at_rest(sdk: LangGraphClient, thread_id: str) -> None:
    async def rests() -> bool:
        return (await sdk.threads.get(thread_id))["status"] != "busy"

    await until(rests, "its run has really ended")


async def test_a_cancel_whose_notification_is_lost_arrives_with_the_next_beat(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=3, gated=False))
    held = await journal.wait_for("began", 3)
    os.kill(held.pid, signal.SIGSTOP)  # so that it cannot subscribe again before the cancel
    try:
        fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await sdk.runs.cancel(thread_id, run["run_id"])
        assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"  # so it is for clients
    finally:
        os.kill(held.pid, signal.SIGCONT)
        asked = time.time()
    line = await journal.wait_for("cancelled", 3)
    assert line.at - asked < 3 * LEASE  # a third of one is a beat
    await at_rest(sdk, thread_id)
    assert fleet.record(run["run_id"])["attempt"] == "1"


async def test_a_cancel_outlives_the_gateway_that_took_it(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    gateway = fleet.gateway()
    await fleet.ready()
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=3, gated=False))
    await journal.wait_for("began", 3)
    asked = time.time()
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        answer = await http.post(f"/threads/{thread_id}/runs/{run['run_id']}/cancel")
        gateway.kill()
    assert answer.status_code == 202
    assert (await journal.wait_for("cancelled", 3)).at - asked < 3 * LEASE
    await at_rest(sdk, thread_id)
    assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"


async def test_many_are_cancelled_by_their_ids(sdk: LangGraphClient, journal: Journal, thread_id: str) -> None:
    """Unknown and finished ones among them are passed over; where there is nothing to cancel, that is said."""
    finished = await sdk.runs.create(thread_id, "mark", input=journal.input(name="finished"))
    await sdk.runs.join(thread_id, finished["run_id"])
    held = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=3, gated=False))
    queued = [await sdk.runs.create(thread_id, "mark", input=journal.input(name="queued")) for _ in range(3)]
    await journal.wait_for("began", 3)
    unknown = "00000000-0000-4000-8000-000000000000"
    ids = [run["run_id"] for run in (finished, held, *queued[:2])]
    await sdk.runs.cancel_many(thread_id=thread_id, run_ids=[*ids, unknown])
    await sdk.runs.join(thread_id, queued[2]["run_id"])  # it was spared, and its turn has come
    statuses = {run["run_id"]: run["status"] for run in await sdk.runs.list(thread_id)}
    expected = ["success", "interrupted", "interrupted", "interrupted", "success"]
    assert [statuses[run["run_id"]] for run in (finished, held, *queued)] == expected
    assert len([line for line in journal.lines("began") if line.name == "queued"]) == 1
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(thread_id=thread_id, run_ids=[finished["run_id"], unknown])
    for run_id in (finished["run_id"], unknown):
        with pytest.raises(NotFoundError):
            await sdk.runs.cancel(thread_id, run_id)


@pytest.mark.parametrize(
    ("status", "left"),
    [("pending", ["running", None]), ("running", [None, "running"]), ("all", [None, None])],
)
async def test_many_are_cancelled_by_their_status(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, *, thread_id: str, status: str, left: list[str | None]
) -> None:
    """Over all threads: each has one run that runs and one that waits for it."""
    threads = [thread_id, *[str((await sdk.threads.create())["thread_id"]) for _ in range(3)]]
    held = journal.input(hold=3, gated=False)
    runs = [[await sdk.runs.create(thread, "steps", input=held) for _ in range(2)] for thread in threads]
    await journal.wait_for("began", 3, times=len(threads))
    await sdk.runs.cancel_many(status=status)  # type: ignore[arg-type]  # one of its literals
    begun = len(threads) * (1 + left.count("running")) - (len(threads) if left[0] else 0)
    await journal.wait_for("began", 3, times=begun)
    for thread, pair in zip(threads, runs, strict=True):
        now = [(await sdk.runs.get(thread, run["run_id"]))["status"] for run in pair]
        assert now == [state or "interrupted" for state in left]
    if "running" in left:
        await sdk.runs.cancel_many(status="all")
    for thread in threads:
        await at_rest(sdk, thread)
    assert fleet.redis.zcard(KEYS.queue("runs")) == 0
    with pytest.raises(NotFoundError):
        await sdk.runs.cancel_many(status="all")


@pytest.fixture
def deaf_fleet() -> Iterator[Fleet]:
    with Fleet() as fleet:
        fleet.gateway()
        fleet.worker(N_JOBS_PER_WORKER="3")
        yield fleet


async def test_runs_that_swallow_their_cancel_are_abandoned_and_their_worker_is_replaced(
    deaf_fleet: Fleet, tmp_path: Path
) -> None:
    """Ten seconds after its cancel such a run has lost its token and its slot; three of them, and the process goes."""
    await deaf_fleet.ready()
    [worker] = deaf_fleet.workers
    first = worker.child
    journals = [Journal(folder) for folder in (tmp_path / "0", tmp_path / "1", tmp_path / "2", tmp_path / "others")]
    for folder in ("0", "1", "2", "others"):
        (tmp_path / folder).mkdir()
    others = journals.pop()
    async with get_client(url=deaf_fleet.url) as sdk:
        threads = [str((await sdk.threads.create())["thread_id"]) for _ in range(4)]
        runs = []
        for journal, thread in zip(journals, threads[:3], strict=True):
            deaf = {**journal.input(), "do": "be deaf"}
            runs.append(await sdk.runs.create(thread, "faults", input=deaf, durability="sync"))
            await journal.wait_for("began", 1)
        waiting = await sdk.runs.create(threads[3], "mark", input=others.input())  # there is no slot for it
        await sdk.runs.cancel(threads[0], runs[0]["run_id"])
        await journals[0].wait_for("cancelled", 1)
        began = time.monotonic()
        await asyncio.sleep(2)  # seconds between the first end and the others', in which one slot is free
        for thread, run in zip(threads[1:3], runs[1:], strict=True):
            await sdk.runs.cancel(thread, run["run_id"])
        await sdk.runs.join(threads[3], waiting["run_id"])
        assert time.monotonic() - began > 5
        assert [line.pid for line in others.lines("began")] == [first]
        await at_rest(sdk, threads[0])
        before = deaf_fleet.record(runs[0]["run_id"])
        assert before["status"] == "interrupted"
        assert len(journals[0].lines("cancelled")) == 2
        state = await sdk.threads.get_state(threads[0])

        journals[0].open_gate()  # it ends its step, and tries to store what came of it
        await journals[0].wait_for("ended", 1)
        for thread in threads[1:3]:
            await at_rest(sdk, thread)
        await until(lambda: worker.running and worker.children not in ([], [first]), "it has been replaced")
        await deaf_fleet.ready()
        assert worker.events("too many runs ignored their cancel, replacing this worker")
        assert await sdk.threads.get_state(threads[0]) == state
        assert deaf_fleet.record(runs[0]["run_id"]) == before
        assert journals[0].lines("began", 2) == []
        await sdk.runs.wait(threads[0], "mark", input=others.input())
        assert others.lines("began")[-1].pid == worker.child


@pytest.mark.slow  # for its kind: ten seconds more of the same waiting as above
async def test_a_worker_with_nodes_stuck_in_threads_executes_others_and_is_replaced(
    deaf_fleet: Fleet, journal: Journal, tmp_path: Path
) -> None:
    """A cancelled run ends at once, but its node stays in its thread; three of those, and the process goes."""
    await deaf_fleet.ready()
    [worker] = deaf_fleet.workers
    first = worker.child
    async with get_client(url=deaf_fleet.url) as sdk:
        for number in range(3):
            thread_id = str((await sdk.threads.create())["thread_id"])
            stuck = {**journal.input(), "do": "sleep", "seconds": 3600}
            run = await sdk.runs.create(thread_id, "threaded", input=stuck)
            await journal.wait_for("began", 1, times=number + 1)
            await sdk.runs.cancel(thread_id, run["run_id"], wait=True)
        (tmp_path / "others").mkdir()
        others = Journal(tmp_path / "others")
        quick = {**others.input(), "do": "sleep", "seconds": 0.01}
        await sdk.runs.wait(None, "threaded", input=quick)
        assert [line.pid for line in others.lines("ended", 1)] == [first]
        await until(lambda: not is_alive(first) and len(worker.pids()) > 1, "it has been replaced")
        await deaf_fleet.ready()
        await sdk.runs.wait(None, "threaded", input=quick)
        assert others.lines("ended", 1)[-1].pid == worker.child
