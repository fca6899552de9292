"""What orchestrators and Prometheus are told by real processes, and when a child of theirs is blocked or dies."""

import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from prometheus_client.parser import text_string_to_metric_families

from tests.promtool import check_metrics
from tests.system.fleet import Fleet, Worker
from tests.system.journal import Journal, until

pytestmark = pytest.mark.xdist_group("faults")
TABLE = Path(__file__).parents[2] / "deploy" / "metrics.md"


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


@pytest.fixture
async def at_rest(fleet: Fleet, ready: None) -> None:  # noqa: ARG001 - workers that answer
    """What the tests before have done is told, which takes a child 5 seconds: what is counted from now on is ours."""
    workers = [worker for worker in fleet.workers if worker.running]
    told, since = Counter[str](), time.monotonic()

    async def is_still() -> bool:
        nonlocal told, since
        now = await counted("lineshaft_run_attempts_total", *workers)
        now += await counted("lineshaft_runs_finished_total", *workers)
        if now != told:
            told, since = now, time.monotonic()
        return time.monotonic() - since > 6

    await until(is_still, "the numbers are at rest")


def documented(*places: str) -> set[str]:
    rows = re.findall(r"^\| `(lineshaft_\w+)` \| \w+ \| .*? \| (\w+) \|", TABLE.read_text(), re.MULTILINE)
    return {name for name, place in rows if place in places}


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (lineshaft_\w+) ", text, re.MULTILINE))


async def metrics(url: str) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{url}/metrics")).raise_for_status().text


async def counted(name: str, *workers: Worker) -> Counter[str]:
    """Samples of all these workers, by the values of their labels."""
    total: Counter[str] = Counter()
    for worker in workers:
        for family in text_string_to_metric_families(await metrics(worker.probes)):
            for sample in family.samples:
                if sample.name == name:
                    total["/".join(sample.labels.values())] += int(sample.value)
    return total


@pytest.mark.usefixtures("at_rest")
async def test_every_metric_that_is_documented_is_told(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    workers = [worker for worker in fleet.workers if worker.running]
    before = await counted("lineshaft_runs_finished_total", *workers)
    await sdk.runs.wait(thread_id, "steps", input=journal.input(), raise_error=False)

    async def told() -> bool:
        return (await counted("lineshaft_runs_finished_total", *workers) - before)["steps/success/runs"] == 1

    await until(told, "the child has told its parent")
    gateway, worker = await metrics(fleet.url), await metrics(workers[0].probes)
    for text in (gateway, worker):
        labels = re.findall(r'="([^"\n]*)"', text)
        assert [label for label in labels if re.search(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}", label)] == []  # no ids
    assert families(gateway) == documented("every", "gateway", "installation")
    assert {name for name in families(worker) if "_child_process_" not in name} == documented("every", "worker")
    assert "lineshaft_worker_child_process_resident_memory_bytes" in worker
    assert 'lineshaft_event_loop_lag_seconds_count{process="child"}' in worker


async def test_prometheus_reads_what_gateway_and_worker_tell(fleet: Fleet) -> None:
    worker = next(worker for worker in fleet.workers if worker.running)
    for url in (fleet.url, worker.probes):
        check_metrics((await metrics(url)).encode())


@pytest.mark.usefixtures("at_rest")
async def test_counters_go_on_when_the_child_is_replaced(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    workers = [worker for worker in fleet.workers if worker.running]
    attempts = "lineshaft_run_attempts_total"
    deaths = "lineshaft_worker_children_ended_total"
    before = {name: await counted(name, *workers) for name in (attempts, deaths)}

    async def more(name: str) -> Counter[str]:
        return await counted(name, *workers) - before[name]

    async def told(first: int, retries: int) -> bool:
        found = await more(attempts)
        return (found["runs/first"], found["runs/worker_died"]) == (first, retries)

    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=2), durability="sync")
    await until(lambda: told(1, 0), "the child has told of the attempt")
    [line] = journal.lines("began", 2)
    os.kill(line.pid, signal.SIGKILL)
    await until(lambda: told(1, 1), "another attempt was told of, and the first one is not forgotten")
    assert await more(deaths) == {"died": 1}
    journal.open_gate()
    await sdk.runs.join(thread_id, run["run_id"])


async def test_a_child_that_is_stopped_hinders_neither_probes_nor_scrapes(fleet: Fleet) -> None:
    worker = next(worker for worker in fleet.workers if worker.running)
    child = worker.child
    async with httpx.AsyncClient(base_url=worker.probes) as http:
        os.kill(child, signal.SIGSTOP)
        try:
            answers = {path: (await http.get(path)).status_code for path in ("/metrics", "/livez", "/startupz")}
        finally:
            os.kill(child, signal.SIGCONT)
    assert answers == {"/metrics": 200, "/livez": 200, "/startupz": 200}


async def test_gateway_and_worker_are_ready(fleet: Fleet) -> None:
    worker = next(worker for worker in fleet.workers if worker.running)
    async with httpx.AsyncClient() as http:
        for url in (f"http://127.0.0.1:{fleet.probes_port}", worker.probes):
            for path in ("/livez", "/readyz", "/startupz"):
                answer = await http.get(url + path)
                assert answer.status_code == 200, (url, path, answer.text)
        assert (await http.get(f"{worker.probes}/readyz")).json() == {
            "ready": True,
            "checks": {"graphs": "ok", "draining": "ok", "redis": "ok"},
        }


async def test_a_stopping_worker_is_not_ready(fleet: Fleet, sdk: LangGraphClient, journal: Journal) -> None:
    stopping = fleet.worker(BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS="60")
    await fleet.ready()
    held = {}
    while stopping.child not in held:  # until one of the runs is with it
        thread = str((await sdk.threads.create())["thread_id"])
        await sdk.runs.create(thread, "steps", input=journal.input(name=thread, hold=1, gated=True))
        await until(lambda name=thread: [line for line in journal.lines("began", 1) if line.name == name], "it runs")  # type: ignore[misc]
        held = {line.pid: line for line in journal.lines("began", 1)}
    stopping.process.terminate()  # type: ignore[union-attr]
    async with httpx.AsyncClient(base_url=stopping.probes) as http:

        async def refuses() -> bool:
            answer = await http.get("/readyz")
            return (answer.status_code, "stopping" in answer.text) == (503, True)

        await until(refuses, "it is not ready any more")
        assert (await http.get("/livez")).status_code == 200
    journal.open_gate()
    stopping.process.wait(30)  # type: ignore[union-attr]
