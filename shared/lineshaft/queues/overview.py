"""Queues as operators see them, and the one number of each by which workers are scaled."""

import math

from msgspec import Struct

from lineshaft.redis.client import Client
from lineshaft.runs.index import redis_time

from .control import read_states
from .load import Load, measure
from .queue import OVERFLOW_QUEUE
from .workers import WorkerInfo, list_workers

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


class QueueRow(Struct, kw_only=True):
    """One queue."""

    queue: str
    state: str  # open, paused or draining
    ready: int  # a free slot takes them at once
    delayed: int  # due later
    waiting: int  # behind another run of their thread
    parked: int  # due, but a limit (`executor.limits`) has no slot for them
    running: int
    oldest_wait: float | None  # seconds that the first ready run has waited; None: none is ready
    median_wait: float | None
    workers: int  # that take its runs, drained ones left out
    slots: int  # theirs
    warning: str  # what is wrong with it, or ''


class Overview(Struct, kw_only=True):
    """The whole installation at one moment."""

    queues: list[QueueRow]
    workers: int
    drained_workers: int
    slots: int
    running: int
    dead_letters: int
    threads: dict[str, int]
    ended_last_hour: int  # of those that are kept in the index
    failed_last_hour: int
    ended_last_day: int
    failed_last_day: int


class Scaling(Struct, kw_only=True):
    """How many workers a queue needs. `value` is the one number to scale by; an autoscaler divides it by its target."""

    queue: str
    value: int  # ready + running runs; of a paused queue only those that run
    ready: int
    running: int
    state: str
    workers: int
    slots_per_worker: int
    desired_replicas: int  # value / slots_per_worker, rounded up


async def read_overview(client: Client, load: Load) -> Overview:
    """A few round trips, whose cost does not grow with the number of runs. `load` is what was measured just now."""
    keys = client.keys
    workers = await list_workers(client)
    now = await redis_time(client)
    ended_hour, failed_hour, ended_day, failed_day = await client.commands(
        *(
            ("ZCOUNT", key, now - span, "+inf")
            for span in (_HOUR_MS, _DAY_MS)
            for key in (keys.runs_ended(), keys.runs_failed())
        )
    )
    return Overview(
        queues=await _rows(client, load, workers),
        workers=len(workers),
        drained_workers=sum(worker.is_drained for worker in workers),
        slots=sum(worker.slots for worker in workers),
        running=load.running,
        dead_letters=load.dead_letters,
        threads=load.threads,
        ended_last_hour=ended_hour,
        failed_last_hour=failed_hour,
        ended_last_day=ended_day,
        failed_last_day=failed_day,
    )


async def list_queues(client: Client) -> list[QueueRow]:
    """All that are known."""
    return await _rows(client, await measure(client), await list_workers(client))


async def read_scaling(client: Client) -> list[Scaling]:
    """Of each queue that workers are scaled by."""
    workers = await list_workers(client)
    rows = [row for row in await _rows(client, await measure(client), workers) if row.queue != OVERFLOW_QUEUE]
    return [_scaling(client, row) for row in rows]


def _scaling(client: Client, row: QueueRow) -> Scaling:
    slots = round(row.slots / row.workers) if row.workers else client.settings.n_jobs_per_worker
    value = row.running + (0 if row.state == "paused" else row.ready)
    return Scaling(
        queue=row.queue,
        value=value,
        ready=row.ready,
        running=row.running,
        state=row.state,
        workers=row.workers,
        slots_per_worker=max(1, slots),
        desired_replicas=math.ceil(value / max(1, slots)),
    )


async def _rows(client: Client, load: Load, workers: list[WorkerInfo]) -> list[QueueRow]:
    states = {queue.name: queue.state for queue in await read_states(client)}
    names = sorted(load.queues, key=lambda name: (name == OVERFLOW_QUEUE, name))
    rows = []
    for name in names:
        queue = load.queues[name]
        serving = [worker for worker in workers if not worker.is_drained and _serves(worker, name)]
        rows.append(
            QueueRow(
                queue=name,
                state=str(states.get(name, "open")),
                ready=queue.ready,
                delayed=queue.delayed,
                waiting=queue.waiting,
                parked=queue.parked,
                running=queue.running,
                oldest_wait=queue.longest_wait,
                median_wait=queue.median_wait,
                workers=len(serving),
                slots=sum(worker.slots for worker in serving),
                warning="" if serving or not queue.ready else "no worker takes its runs",
            )
        )
    return rows


def _serves(worker: WorkerInfo, queue: str) -> bool:
    """One that says nothing of queues takes runs of all."""
    return queue == OVERFLOW_QUEUE or not worker.queues or queue in worker.queues
