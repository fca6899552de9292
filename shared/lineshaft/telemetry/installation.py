"""What the whole installation is like, as every gateway tells Prometheus: the same numbers, from one cached read."""

import asyncio
import time
from collections.abc import Iterator

from msgspec import Struct
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lineshaft.queues.load import Load, measure
from lineshaft.queues.overview import Overview, read_overview
from lineshaft.queues.queue import OVERFLOW_QUEUE
from lineshaft.redis.client import Client

_FRESH_SECONDS = 1.0  # several scrapers, and probes of scaling, make one read
_INFO = ("memory", "persistence", "replication", "clients")


class Installation(Struct, frozen=True, kw_only=True):
    """One read."""

    load: Load
    overview: Overview
    counts: dict[str, int]  # what only scripts know of, see lib/tally.lua
    repairs: dict[str, int]  # by kind
    webhooks_failed: int
    redis: dict[str, str]  # fields of INFO


class InstallationReader:
    """Reads it, at most once a second."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._latest: Installation | None = None
        self._read_at = 0.0

    async def read(self) -> Installation:
        """The latest read, or a new one. Raises what reading raises."""
        async with self._lock:
            if self._latest is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._latest = await read_installation(self._client)
                self._read_at = time.monotonic()
            return self._latest


async def read_installation(client: Client) -> Installation:
    """A few round trips, whose cost does not grow with the number of runs."""
    keys = client.keys
    load = await measure(client)
    overview = await read_overview(client, load)
    counts, repairs, failed, info = await client.commands(
        ("HGETALL", keys.counts()),
        ("HGETALL", keys.repairs()),
        ("ZCARD", keys.webhooks_failed()),
        ("INFO", *_INFO),
    )
    lines = info.decode().splitlines()
    return Installation(
        load=load,
        overview=overview,
        counts=_numbers(counts),
        repairs=_numbers(repairs),
        webhooks_failed=failed,
        redis=dict(line.split(":", 1) for line in lines if ":" in line),
    )


def _numbers(pairs: list[bytes]) -> dict[str, int]:
    return {name.decode(): int(count) for name, count in zip(pairs[::2], pairs[1::2], strict=True)}


class Families(Collector):
    """A read as Prometheus takes it; of None, if nothing could be read, the families without samples."""

    def __init__(self, read: Installation | None) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """All families."""
        read = self._read
        yield GaugeMetricFamily("lineshaft_redis_up", "Whether Redis answers.", value=float(read is not None))
        yield from _of_queues(read)
        yield from _counted(read)
        yield from _of_redis(read.redis if read else {})


def _of_queues(read: Installation | None) -> Iterator[Metric]:
    runs = GaugeMetricFamily("lineshaft_queue_runs", "Runs of a queue by state.", labels=["queue", "state"])
    oldest = GaugeMetricFamily(
        "lineshaft_queue_oldest_ready_age_seconds", "How long the first run that is ready has waited.", labels=["queue"]
    )
    slots = GaugeMetricFamily(
        "lineshaft_queue_slots", "Runs that the workers of a queue execute at a time.", labels=["queue"]
    )
    paused = GaugeMetricFamily("lineshaft_queue_paused", "1 while nothing is taken from a queue.", labels=["queue"])
    workers = GaugeMetricFamily("lineshaft_workers", "Workers that are alive.")
    drained = GaugeMetricFamily("lineshaft_workers_drained", "Those of them that an operator lets take no more runs.")
    dead = GaugeMetricFamily("lineshaft_dead_letter_runs", "Runs that were given up, and are kept to be looked at.")
    threads = GaugeMetricFamily("lineshaft_threads", "Threads by status.", labels=["status"])
    temporary = GaugeMetricFamily("lineshaft_temporary_threads", "Threads of stateless runs.")
    if read:
        load = read.load
        for name, standing in load.queues.items():
            for state in ("ready", "delayed", "waiting", "parked", "running"):
                runs.add_metric([name, state], getattr(standing, state))
        for queue in read.overview.queues:
            oldest.add_metric([queue.queue], queue.oldest_wait or 0)
            paused.add_metric([queue.queue], queue.state == "paused")
            if queue.queue != OVERFLOW_QUEUE:  # what is there takes no slot of these
                slots.add_metric([queue.queue], queue.slots)
        for status, count in load.threads.items():
            threads.add_metric([status], count)
        for family, value in (
            (workers, load.workers),
            (drained, read.overview.drained_workers),
            (dead, load.dead_letters),
            (temporary, load.temporary_threads),
        ):
            family.add_metric([], value)
    return iter((runs, oldest, slots, paused, workers, drained, dead, threads, temporary))


RECOVERIES = ("retried", "dead_letter", "settled", "ended")
ACTIONS = ("interrupt", "rollback")
PHASES = ("queued", "running")


def _counted(read: Installation | None) -> Iterator[Metric]:
    enqueued = CounterMetricFamily("lineshaft_runs_enqueued", "Runs that were accepted.", labels=["queue"])
    recovered = CounterMetricFamily(
        "lineshaft_runs_recovered",
        "Runs taken from workers that died or failed, by what came of it.",
        labels=["result"],
    )
    cancelled = CounterMetricFamily(
        "lineshaft_run_cancellations", "Runs that were cancelled, by where they were.", labels=["action", "phase"]
    )
    repairs = CounterMetricFamily(
        "lineshaft_repairs", "What the reconciler found inconsistent and mended.", labels=["kind"]
    )
    failed = GaugeMetricFamily("lineshaft_webhooks_failed", "Calls of webhooks that were given up, and are kept.")
    if read:
        for queue in read.overview.queues:
            enqueued.add_metric([queue.queue], read.counts.get(f"enqueued:{queue.queue}", 0))
        for result in RECOVERIES:
            recovered.add_metric([result], read.counts.get(f"recovered:{result}", 0))
        for action in ACTIONS:
            for phase in PHASES:
                cancelled.add_metric([action, phase], read.counts.get(f"cancelled:{action}:{phase}", 0))
        for kind, count in sorted(read.repairs.items()):
            repairs.add_metric([kind.replace(" ", "_")], count)
        failed.add_metric([], read.webhooks_failed)
    return iter((enqueued, recovered, cancelled, repairs, failed))


def _of_redis(info: dict[str, str]) -> Iterator[Metric]:
    for name, about, field in (
        ("memory_used_bytes", "Memory that Redis uses for data and clients.", "used_memory"),
        ("memory_max_bytes", "Its limit; 0 is none.", "maxmemory"),
        ("clients", "Connections to Redis.", "connected_clients"),
        ("replicas", "Replicas that are connected to the primary.", "connected_slaves"),
    ):
        family = GaugeMetricFamily(f"lineshaft_redis_{name}", about)
        if field in info:
            family.add_metric([], float(info[field]))
        yield family
    evicts = GaugeMetricFamily("lineshaft_redis_evicts", "1 if Redis drops keys when it is full: runs would vanish.")
    if "maxmemory_policy" in info:
        evicts.add_metric([], float(info["maxmemory_policy"] != "noeviction"))
    yield evicts
    durable = GaugeMetricFamily(
        "lineshaft_redis_persists", "1 if what Redis acknowledges goes to its append-only file."
    )
    if "aof_enabled" in info:
        durable.add_metric([], float(info["aof_enabled"] == "1" and info.get("aof_last_write_status", "ok") == "ok"))
    yield durable
