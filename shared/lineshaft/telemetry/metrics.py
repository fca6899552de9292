"""Numbers for Prometheus: how they are declared and written down, and those that gateway and worker both count.

What a process does is counted in that process, and summed over all of them; what is of the whole installation is read
from Redis (`installation.py`), the same at every gateway. Labels have few values that we or the operator choose:
queues, graphs, outcomes; never ids, and nothing that a client makes up. deploy/metrics.md describes all of them.
"""

import importlib.metadata
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

TEXT = CONTENT_TYPE_PLAIN_0_0_4
# Seconds. From a script of Redis, or a turn of the loop, to what people notice.
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Registry(CollectorRegistry):
    """Families of one part of a process. They say nothing of when they were made, which would double the series."""

    def collect(self) -> Iterable[Metric]:
        """All families with their samples."""
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


COMMON = Registry()
ProcessCollector(registry=COMMON)  # process_resident_memory_bytes and the like, where there is /proc

BUILD = Gauge("lineshaft_build_info", "Always 1; what runs here.", ["role", "version", "langgraph"], registry=COMMON)
LOOP_LAG = Histogram(
    "lineshaft_event_loop_lag_seconds",
    "How late the event loop came to a timer.",
    ["process"],
    buckets=SHORT,
    registry=COMMON,
)
LOOP_STALLS = Counter(
    "lineshaft_event_loop_stalls",
    "Times that the event loop stood still for over a second.",
    ["process"],
    registry=COMMON,
)
REDIS_SECONDS = Histogram(
    "lineshaft_redis_call_duration_seconds",
    "Round trips to Redis, from asking to the answer.",
    buckets=SHORT,
    registry=COMMON,
)
REDIS_ERRORS = Counter(
    "lineshaft_redis_errors", "Round trips to Redis that failed and were tried again.", ["reason"], registry=COMMON
)
FENCED = Counter(
    "lineshaft_fenced_writes",
    "Writes that Redis refused, since the run was another worker's by then.",
    ["operation"],
    registry=COMMON,
)

for _reason in ("connection", "timeout", "readonly", "memory", "other"):
    REDIS_ERRORS.labels(_reason)
# Those that a run's writes are; any other script with a token makes its series when it comes to that.
for _operation in ("checkpoint_put", "checkpoint_put_writes", "run_append", "run_claim", "run_finish", "store_put"):
    FENCED.labels(_operation)


def tell_build(role: str) -> None:
    """Say what runs here."""
    BUILD.labels(role, importlib.metadata.version("lineshaft"), importlib.metadata.version("langgraph")).set(1)


def render(*parts: Collector) -> bytes:
    """All families of these parts in Prometheus' text format."""
    return b"".join(generate_latest(part) for part in parts)
