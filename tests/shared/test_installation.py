"""What only scripts know of is counted by them, once."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from prometheus_client.metrics_core import Metric

from lineshaft.errors import NotFound
from lineshaft.queues.control import pause
from lineshaft.queues.workers import drain_worker
from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.telemetry.installation import Families, InstallationReader, read_installation
from lineshaft.telemetry.upkeep_metrics import UPKEEP
from lineshaft.threads.thread import ThreadStore
from lineshaft.threads.ttl import Ttl
from tests.samples import Since

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def told(client: Client, name: str) -> dict[str, float]:
    """Samples other than 0 of one family, by the values of their labels."""
    (family,) = [family for family in Families(await read_installation(client)).collect() if family.name == name]
    return {"/".join(sample.labels.values()): sample.value for sample in family.samples if sample.value}


async def crash(desk: Desk, worker: str) -> None:
    await desk.client.script("worker_release", worker=worker, crashed=True, max_crashes=desk.max_crashes)


async def test_runs_of_workers_that_die_are_counted_by_what_becomes_of_them(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    for n in range(3):
        await desk.lease(f"w{n}")
        assert await desk.claim(worker=f"w{n}")
        await crash(desk, f"w{n}")
        await crash(desk, f"w{n}")  # said again after a lost answer
    assert await told(desk.client, "lineshaft_runs_recovered") == {"retried": 2, "dead_letter": 1}
    assert await told(desk.client, "lineshaft_dead_letter_runs") == {"": 1}
    await desk.lease("w3")
    assert await desk.claim(worker="w3")
    await crash(desk, "w3")
    assert await told(desk.client, "lineshaft_runs_recovered") == {"retried": 2, "dead_letter": 1, "settled": 1}
    ((claimed, token),) = await desk.claim()
    assert claimed == run
    await desk.finish(run, token, "error")


async def test_cancels_are_counted_by_where_the_run_was(desk: Desk) -> None:
    thread = await desk.open()
    running, queued = await desk.create(thread), await desk.create(thread)
    ((_, token),) = await desk.claim()
    for _ in range(2):  # the second time there is nothing left to cancel
        for run in (running, queued):
            with contextlib.suppress(NotFound):
                await cancel(desk.client, thread, run, "interrupt", "test")
    await desk.finish(running, token, "interrupted", handled="interrupt")
    assert await told(desk.client, "lineshaft_run_cancellations") == {"interrupt/running": 1, "interrupt/queued": 1}


async def test_what_the_reconciler_has_mended_is_told_by_kind(client: Client) -> None:
    await client.command("HINCRBY", client.keys.repairs(), "run of a dead worker", 2)
    assert await told(client, "lineshaft_repairs") == {"run_of_a_dead_worker": 2}


async def test_a_run_is_counted_where_it_goes_and_in_its_state(desk: Desk) -> None:
    thread, other = await desk.open(), await desk.open()
    await desk.create(thread)
    await desk.create(thread)
    await desk.create(other, after_seconds=3600)
    ((run, token),) = await desk.claim()
    await desk.create(await desk.open())
    runs = await told(desk.client, "lineshaft_queue_runs")
    assert runs == {"runs/ready": 1, "runs/delayed": 1, "runs/waiting": 1, "runs/running": 1}
    assert await told(desk.client, "lineshaft_runs_enqueued") == {"runs": 4}
    await desk.finish(run, token)


async def test_a_run_beyond_a_limit_is_told_apart_from_one_that_lacks_a_worker(desk: Desk) -> None:
    desk.limits = "graph g\t1"
    for _ in range(2):
        await desk.create(await desk.open())
    ((run, token),) = await desk.claim()
    assert await told(desk.client, "lineshaft_queue_runs") == {"runs/parked": 1, "runs/running": 1}
    assert await told(desk.client, "lineshaft_queue_oldest_ready_age_seconds") == {}
    await desk.finish(run, token)


async def test_a_paused_queue_is_told(client: Client) -> None:
    assert await told(client, "lineshaft_queue_paused") == {}
    await pause(client, "runs")
    assert await told(client, "lineshaft_queue_paused") == {"runs": 1}


async def test_redis_is_asked_once_for_all_who_want_to_know(client: Client) -> None:
    reader = InstallationReader(client)
    first = await reader.read()
    assert await reader.read() is first


def test_without_redis_there_are_families_and_no_samples() -> None:
    families: list[Metric] = list(Families(None).collect())
    assert [family.name for family in families if family.samples] == ["lineshaft_redis_up"]


async def test_a_drained_worker_is_told(desk: Desk) -> None:
    await desk.open()
    assert await told(desk.client, "lineshaft_workers_drained") == {}
    await drain_worker(desk.client, desk.worker)
    assert await told(desk.client, "lineshaft_workers_drained") == {"": 1}
    assert await told(desk.client, "lineshaft_workers") == {"": 1}


async def test_what_is_removed_is_counted_by_whom_it_is_removed(desk: Desk) -> None:
    since = Since(UPKEEP)
    thread = (await ThreadStore(desk.client).create(ttl=Ttl(ttl=10))).thread_id
    keys, hour_ago = desk.client.keys, -3_600_000
    await desk.client.command("HINCRBY", keys.thread(thread), "updated", hour_ago)
    await desk.client.command("ZINCRBY", keys.threads_by_expiry(), hour_ago, thread)
    for _ in range(2):
        await Reconciler(desk.client, "one").turn()
    assert since.more("swept_total") == {"expired_thread": 1}
