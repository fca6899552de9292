"""What a worker counts of the runs that it executes."""

import pytest

from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import Action
from lineshaft_worker.run_metrics import RUNS
from tests.samples import Since, counted
from tests.shared.until import until

from . import run_graphs
from .in_process import Hire, InProcessWorker, Office


@pytest.mark.parametrize(
    ("graph", "outcome"),
    [
        ("linear", "success"),
        ("failing", "error"),
        ("asking", "paused"),
    ],
)
async def test_a_run_is_counted_once_by_how_it_ended(
    worker: InProcessWorker, office: Office, thread: str, graph: str, outcome: str
) -> None:
    since = Since(RUNS)
    await office.run(graph, thread, {"log": []})
    await worker.stop()
    assert since.more("runs_finished_total") == {f"runs/{graph}/{outcome}": 1}
    assert since.more("run_attempts_total") == {"runs/first": 1}
    assert since.more("run_attempts_ended_total") == {"runs/finished": 1}
    assert since.more("run_queue_wait_seconds_count") == {"runs/first": 1}
    assert since.more("run_time_to_first_event_seconds_count") == {"runs": 1}
    assert since.more("run_end_to_end_seconds_count") == {"runs": 1}
    assert since.more("stream_events_total")["values"] >= 1
    assert since.more("checkpoint_bytes_count")[""] >= 2  # the input's, and a step's


async def test_a_wait_is_counted_from_when_nothing_but_a_worker_was_lacking(
    client: Client, office: Office, hire: Hire, thread: str
) -> None:
    name = "lineshaft_run_queue_wait_seconds_sum"
    before = counted(RUNS, name)["runs/first"]
    run = await office.start("linear", thread, {"log": []})
    await client.command("HINCRBY", client.keys.run(run), "ready", -300_000)
    worker = await hire()
    await office.ended(run)
    await worker.stop()
    assert counted(RUNS, name)["runs/first"] - before == pytest.approx(300, abs=30)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_cancelled_run_tells_how_long_its_cancel_took(
    worker: InProcessWorker, office: Office, thread: str, action: Action
) -> None:
    since = Since(RUNS)
    await worker.listens()
    run = await office.start("held", thread, {"log": [], "gate": "g"})
    await office.entered("hold g")
    await office.cancel(thread, run, action)
    await office.ended(run)
    await worker.stop()
    assert since.more("runs_finished_total") == {"runs/held/cancelled": 1}
    assert since.more("run_cancel_latency_seconds_count") == {"": 1}


async def test_a_run_that_is_handed_back_is_another_attempt_for_another_worker(
    office: Office, hire: Hire, thread: str
) -> None:
    since = Since(RUNS)
    stopping = await hire(grace=0)
    run = await office.start("held", thread, {"log": [], "gate": "g"})
    await office.entered("hold g")
    await stopping.stop()
    run_graphs.GATES["g"].set()
    other = await hire()
    assert await office.ended(run) == "success"
    await other.stop()
    assert since.more("run_attempts_total") == {"runs/first": 1, "runs/handed_back": 1}
    assert since.more("run_attempts_ended_total") == {"runs/handed_back": 1, "runs/finished": 1}
    assert since.more("run_queue_wait_seconds_count") == {"runs/first": 1, "runs/later": 1}


async def test_a_run_whose_workers_die_is_the_servers_matter(
    client: Client, office: Office, hire: Hire, thread: str
) -> None:
    run = await office.start("linear", thread, {"log": []})
    for n in range(2):
        await office.lease(f"w{n}")
        assert await office.claim(worker=f"w{n}")
        await client.script("worker_release", worker=f"w{n}", crashed=True, max_crashes=3)
    since = Since(RUNS)
    third = await hire()
    assert await office.ended(run) == "success"
    await third.stop()
    assert since.more("run_attempts_total") == {"runs/worker_died": 1}
    run = await office.start("linear", thread, {"log": []})
    for n in range(3):
        await office.lease(f"v{n}")
        assert await office.claim(worker=f"v{n}")
        await client.script("worker_release", worker=f"v{n}", crashed=True, max_crashes=3)
    since = Since(RUNS)
    settling = await hire()
    assert await office.ended(run) == "error"
    await settling.stop()
    assert since.more("run_attempts_total") == {"overflow/settle": 1}
    assert since.more("runs_finished_total") == {"overflow/linear/dead_letter": 1}


async def test_a_run_that_is_lost_is_not_counted_as_ended(office: Office, hire: Hire, thread: str) -> None:
    since = Since(RUNS)
    loser = await hire()
    run = await office.start("held", thread, {"log": [], "gate": "g"})
    await office.entered("hold g")
    await loser.leave(crashed=True)  # its lease is gone, and it does not know
    run_graphs.GATES["g"].set()

    def lost() -> bool:
        return since.more("run_attempts_ended_total") == {"runs/lost": 1}

    await until(lost, "the worker has noticed")
    assert since.more("runs_finished_total") == {}
    other = await hire()
    assert await office.ended(run) == "success"
    await other.stop()


async def test_slots_are_told_as_they_are_taken(office: Office, hire: Hire, thread: str) -> None:
    worker = await hire(jobs=3)
    run = await office.start("held", thread, {"log": [], "gate": "g"})
    await office.entered("hold g")
    slots = counted(RUNS, "lineshaft_worker_slots")
    assert (slots["runs/busy"], slots["runs/free"], slots["overflow/busy"]) == (1, 2, 0)
    run_graphs.GATES["g"].set()
    await office.ended(run)
    await worker.stop()
    assert counted(RUNS, "lineshaft_worker_slots")["runs/free"] == 3
    assert counted(RUNS, "lineshaft_worker_draining")[""] == 1
