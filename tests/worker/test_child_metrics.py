"""The child's numbers reach the parent, and outlive the child."""

from typing import Any

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from lineshaft.telemetry.metrics import Registry, render
from lineshaft_worker.child_metrics import Changes, ChildNumbers
from tests.promtool import check_metrics


class Process:
    """One process's families; parent and child have the same."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.runs = Counter("lineshaft_runs", "Runs.", ["graph"], registry=self.registry)
        self.seconds = Histogram("lineshaft_seconds", "Seconds.", buckets=(1, 10), registry=self.registry)
        self.busy = Gauge("lineshaft_busy", "Slots.", registry=self.registry)


class Worker:
    """A parent with one child after another."""

    def __init__(self) -> None:
        self.own = Process()
        self.numbers = ChildNumbers(self.own.registry)
        self.child = Process()
        self.changes = Changes(self.child.registry)

    def beat(self) -> int:
        """One beat of the child; how many samples it brought."""
        samples: list[Any] = []
        for line in self.changes.lines():
            samples += msgspec.json.decode(line)["samples"]
        self.numbers.hear(samples)
        return len(samples)

    def replace_child(self) -> None:
        self.numbers.replace_child()
        self.child = Process()
        self.changes = Changes(self.child.registry)

    def told(self) -> dict[str, float]:
        lines = [line for line in render(self.numbers).decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_the_child_counts_is_told_by_the_parent() -> None:
    worker = Worker()
    worker.child.runs.labels("chat").inc(3)
    worker.own.runs.labels("chat").inc()  # families of both are added up
    worker.child.seconds.observe(5)
    worker.child.busy.set(2)
    worker.beat()
    assert worker.told() == {
        'lineshaft_runs_total{graph="chat"}': 4,
        'lineshaft_seconds_bucket{le="1.0"}': 0,
        'lineshaft_seconds_bucket{le="10.0"}': 1,
        'lineshaft_seconds_bucket{le="+Inf"}': 1,
        "lineshaft_seconds_count": 1,
        "lineshaft_seconds_sum": 5,
        "lineshaft_busy": 2,
    }


def test_an_idle_child_tells_nothing() -> None:
    worker = Worker()
    worker.beat()
    assert worker.beat() == 0
    worker.child.runs.labels("chat").inc()
    assert worker.beat() == 1


def test_counters_go_on_when_the_child_is_replaced_and_gauges_do_not() -> None:
    worker = Worker()
    for _ in range(3):
        worker.child.runs.labels("chat").inc(2)
        worker.child.seconds.observe(20)
        worker.child.busy.set(7)
        worker.beat()
        worker.replace_child()
    told = worker.told()
    assert told['lineshaft_runs_total{graph="chat"}'] == 6
    assert told['lineshaft_seconds_bucket{le="+Inf"}'] == told["lineshaft_seconds_count"] == 3
    assert (told["lineshaft_seconds_sum"], told["lineshaft_busy"]) == (60, 0)
    worker.child.runs.labels("chat").inc()
    worker.beat()
    assert worker.told()['lineshaft_runs_total{graph="chat"}'] == 7


def test_many_numbers_are_told_in_lines_that_the_parent_reads() -> None:
    worker = Worker()
    for n in range(1200):
        worker.child.runs.labels(f"graph-{n}").inc()
    lines = list(worker.changes.lines())
    assert len(lines) == 3
    assert all(len(line) < 2**18 and b"\n" not in line for line in lines)


def test_prometheus_reads_it() -> None:
    worker = Worker()
    worker.child.seconds.observe(5)
    worker.beat()
    worker.replace_child()
    worker.child.seconds.observe(0.5)
    worker.child.runs.labels('a "graph"\\of ours').inc()
    worker.beat()
    check_metrics(render(worker.numbers))
