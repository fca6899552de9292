"""Numbers about runs, counted where they are executed: in a worker's child.

An outcome says whose matter it is: `error` is the user's code, `timeout`, `dead_letter`, `graph_changed` and
`no_graph` are the server's or the operator's.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from lineshaft.telemetry.metrics import Registry

from .claim import Claim

RUNS = Registry()

OUTCOMES = (
    "success", "paused", "cancelled", "error", "timeout", "dead_letter", "graph_changed", "no_graph",
)  # fmt: skip
_MODES = (
    "values",
    "updates",
    "messages",
    "custom",
    "debug",
    "events",
    "tasks",
    "checkpoints",
    "tools",
    "lifecycle",
    "input",
)
REASONS = ("first", "worker_died", "handed_back", "settle")
ATTEMPT_ENDS = ("finished", "handed_back", "lost", "failed")
# Seconds: a wait is noticed from hundredths on; a run may take a day, a model's first word seconds.
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_DURATIONS = (
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0,
)  # fmt: skip
_FIRST_EVENTS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

_EVENTS_SECONDS = 1.0  # in which events are added up, before they are counted

ATTEMPTS = Counter(
    "lineshaft_run_attempts", "Attempts that a worker began, by why there was one.", ["queue", "reason"], registry=RUNS
)
ATTEMPTS_ENDED = Counter(
    "lineshaft_run_attempts_ended", "Attempts that are over, by what came of them.", ["queue", "outcome"], registry=RUNS
)
FINISHED = Counter(
    "lineshaft_runs_finished", "Runs that a worker brought to their end.", ["queue", "graph", "outcome"], registry=RUNS
)
WAIT = Histogram(
    "lineshaft_run_queue_wait_seconds",
    "From a run's being due and first of its thread to a worker's taking it.",
    ["queue", "attempt"],
    buckets=_WAITS,
    registry=RUNS,
)
DURATION = Histogram(
    "lineshaft_run_duration_seconds",
    "One attempt, from its claim to its end.",
    ["queue", "graph"],
    buckets=_DURATIONS,
    registry=RUNS,
)
END_TO_END = Histogram(
    "lineshaft_run_end_to_end_seconds",
    "From a run's being due to its end, with all that it waited for.",
    ["queue"],
    buckets=_DURATIONS,
    registry=RUNS,
)
FIRST_EVENT = Histogram(
    "lineshaft_run_time_to_first_event_seconds",
    "From a run's being due to the first event of its graph.",
    ["queue"],
    buckets=_FIRST_EVENTS,
    registry=RUNS,
)
CANCEL_LATENCY = Histogram(
    "lineshaft_run_cancel_latency_seconds",
    "From a running run's cancellation to its end.",
    buckets=_FIRST_EVENTS,
    registry=RUNS,
)
ABANDONED = Counter("lineshaft_runs_abandoned", "Runs that ignored their cancel and were left behind.", registry=RUNS)
EVENTS = Counter("lineshaft_stream_events", "Events that graphs have streamed.", ["mode"], registry=RUNS)
EVENT_BYTES = Counter("lineshaft_stream_bytes", "Their data.", registry=RUNS)
CHECKPOINT_BYTES = Histogram(
    "lineshaft_checkpoint_bytes",
    "What a checkpoint adds to Redis: the values that have changed, compressed.",
    buckets=tuple(4.0**n * 1024 for n in range(9)),  # 1 KiB to 64 MiB; the limit is 256
    registry=RUNS,
)
SLOTS = Gauge("lineshaft_worker_slots", "Runs that this worker can execute, by use.", ["queue", "state"], registry=RUNS)
DRAINING = Gauge("lineshaft_worker_draining", "1 while this worker stops, and takes no more runs.", registry=RUNS)


def begin_series(queues: Iterable[str], graphs: Iterable[str]) -> None:
    """Make every series that is to come, so that its first count is seen as a rise from 0."""
    graphs = list(graphs)
    for queue in queues:
        for reason in REASONS:
            ATTEMPTS.labels(queue, reason)
        for end in ATTEMPT_ENDS:
            ATTEMPTS_ENDED.labels(queue, end)
        for attempt in ("first", "later"):
            WAIT.labels(queue, attempt)
        for histogram in (END_TO_END, FIRST_EVENT):
            histogram.labels(queue)
        for graph in graphs:
            for outcome in OUTCOMES:
                FINISHED.labels(queue, graph, outcome)


def watch_slots(queues: Iterable[str], busy: Callable[[str], float], free: Callable[[str], float]) -> None:
    """Look at these when somebody asks: slots that each queue has taken, and its part of the free ones."""
    for queue in queues:
        SLOTS.labels(queue, "busy").set_function(partial(busy, queue))
        SLOTS.labels(queue, "free").set_function(partial(free, queue))


class Measure:
    """The numbers of one attempt, from its claim on. Whatever is said of its end first counts."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._began = time.monotonic()
        self._names: dict[str, int] = {}  # of events that are not counted yet
        self._bytes = 0
        self._tell_at = 0.0
        self._over = False
        self.outcome = ""  # of the run if it has ended, else of the attempt
        self._cancelled_at: float | None = None
        ATTEMPTS.labels(claim.queue, _reason(claim)).inc()
        WAIT.labels(claim.queue, "first" if claim.is_first else "later").observe(claim.wait)

    def event(self, name: str, data: bytes) -> None:
        """An event of the graph; there may be thousands in a second."""
        self._names[name] = self._names.get(name, 0) + 1
        self._bytes += len(data)
        if (now := time.monotonic()) >= self._tell_at:
            if not self._tell_at and self._claim.is_first:
                FIRST_EVENT.labels(self._claim.queue).observe(self._claim.age + now - self._began)
            self._tell_at = now + _EVENTS_SECONDS
            self._tell_events()

    def _tell_events(self) -> None:
        for name, count in self._names.items():
            # Of `updates|child:<id>` and `messages/partial`.
            mode = name.partition("|")[0].partition("/")[0]
            EVENTS.labels(mode if mode in _MODES else "other").inc(count)
        EVENT_BYTES.inc(self._bytes)
        self._names, self._bytes = {}, 0

    def cancelled(self, ago: float) -> None:
        """Its cancel was asked for so many seconds ago."""
        self._cancelled_at = time.monotonic() - ago

    def finished(self, outcome: str) -> None:
        """The run has come to its end."""
        if not self._over:
            self.outcome = outcome
            FINISHED.labels(self._claim.queue, self._claim.graph_id, outcome).inc()
            END_TO_END.labels(self._claim.queue).observe(self._claim.age + time.monotonic() - self._began)
            if self._cancelled_at is not None:
                CANCEL_LATENCY.observe(max(0.0, time.monotonic() - self._cancelled_at))
            self.over("finished")

    def over(self, how: str) -> None:
        """The attempt is over: `finished`, `handed_back`, `lost` or `failed`."""
        if not self._over:
            self._over = True
            self.outcome = self.outcome or how
            self._tell_events()
            ATTEMPTS_ENDED.labels(self._claim.queue, how).inc()
            if not (self._claim.cancel or self._claim.dead):  # those are only settled
                seconds = time.monotonic() - self._began
                DURATION.labels(self._claim.queue, self._claim.graph_id).observe(seconds)


def _reason(claim: Claim) -> str:
    if claim.cancel or claim.dead:
        return "settle"
    if claim.is_first:
        return "first"
    return "worker_died" if claim.crashes else "handed_back"
