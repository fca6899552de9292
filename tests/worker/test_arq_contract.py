"""What we rely on in arq: signatures that RunWorker overrides or calls, names of keys, and that arq reads our keys."""

import inspect
import signal

import arq.constants
import msgspec
import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, JobStatus
from arq.worker import Worker

from lineshaft.queues.queue import FUNCTION
from lineshaft.redis.client import Client
from lineshaft.redis.keys import Keys
from lineshaft_worker.worker import RunWorker

from . import run_graphs
from .in_process import InProcessWorker, Office


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("main", ["self"]),
        ("close", ["self"]),
        ("handle_sig", ["self", "signum"]),
        ("async_run", ["self"]),
        # Ours to replace: what they do is done by our scripts.
        ("_poll_iteration", ["self"]),
        ("start_jobs", ["self", "job_ids"]),
        ("run_job", ["self", "job_id", "score"]),
        (
            "finish_job",
            ["self", "job_id", "finish", "result_data", "result_timeout_s", "keep_result_forever", "incr_score",
             "keep_in_progress"],
        ),
        ("finish_failed_job", ["self", "job_id", "result_data"]),
    ],
)  # fmt: skip
def test_methods(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(Worker, name)).parameters) == parameters
    assert list(inspect.signature(getattr(RunWorker, name)).parameters) == parameters
    assert inspect.iscoroutinefunction(getattr(Worker, name)) == inspect.iscoroutinefunction(getattr(RunWorker, name))


def test_what_the_constructor_takes() -> None:
    taken = inspect.signature(Worker).parameters
    assert {"functions", "redis_pool", "queue_name", "max_jobs", "handle_signals"} <= taken.keys()


def test_names_of_keys() -> None:
    keys = Keys()
    assert keys.job("id") == f"{arq.constants.job_key_prefix}id"
    assert keys.in_progress("id") == f"{arq.constants.in_progress_key_prefix}id"
    assert keys.queue("runs") == f"{arq.constants.default_queue_name}:runs"
    # A default worker polls this one, and would take what it finds there.
    assert keys.queue("runs") != arq.constants.default_queue_name


async def test_the_life_cycle_is_arqs(worker: InProcessWorker) -> None:
    assert isinstance(worker.runs, Worker)
    assert worker.runs.main_task is not None and not worker.runs.main_task.done()
    assert worker.runs.functions.keys() == {FUNCTION}
    worker.runs.handle_sig(signal.SIGTERM)
    await worker.stopped()
    await worker.runs.close()


def job(client: Client, run: str) -> Job:
    redis: ArqRedis = ArqRedis(pool_or_conn=client.redis.connection_pool)
    return Job(run, redis, _queue_name=client.keys.queue("runs"), _deserializer=msgspec.msgpack.decode)


async def test_arq_reads_our_runs(office: Office, client: Client, worker: InProcessWorker) -> None:
    first = job(client, await office.start("held", await office.thread(), {"log": []}))
    await office.entered("hold gate")
    assert await first.status() == JobStatus.in_progress
    definition = await first.info()
    assert definition is not None
    assert (definition.function, list(definition.args), definition.kwargs) == (FUNCTION, [first.job_id], {})
    run_graphs.GATES["gate"].set()
    assert await office.ended(first.job_id) == "success"
    assert await first.status() == JobStatus.not_found  # a run's result is in its thread
    assert await first.info() is None

    await worker.stop()
    second = job(client, await office.start("linear", await office.thread(), {"log": []}))
    assert await second.status() == JobStatus.queued
    definition = await second.info()
    assert definition is not None and definition.score is not None
    assert int(definition.enqueue_time.timestamp()) * 1000 <= definition.score


async def test_arq_lists_what_is_queued(office: Office, client: Client) -> None:
    redis = ArqRedis(
        pool_or_conn=client.redis.connection_pool,
        job_deserializer=msgspec.msgpack.decode,
        default_queue_name=client.keys.queue("runs"),
    )
    runs = {await office.start("linear", await office.thread(), {"log": []}) for _ in range(3)}
    assert {queued.job_id for queued in await redis.queued_jobs()} == runs
