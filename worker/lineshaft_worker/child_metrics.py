"""The child's numbers on their way to the parent, which tells Prometheus of them.

The child sends what has changed with each beat of its life: from a thread, so also while a graph blocks its event loop.
The parent answers scrapes with what it has heard, without asking the child. What a child has counted stays when
another takes its place; the last seconds before a SIGKILL are lost.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from lineshaft.telemetry.metrics import COMMON, Registry

from .run_metrics import RUNS

_LINE = 500  # samples; some 50 KiB, and the parent reads lines of up to 1 MiB
_OURS = "lineshaft_"  # what prometheus_client tells of the process is another matter in the parent
_SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")

Key = tuple[str, tuple[tuple[str, str], ...]]


class Changes:
    """In the child: what has changed since it was last told."""

    def __init__(self, *registries: Registry) -> None:
        self._registries = registries or (COMMON, RUNS)
        self._told: dict[Key, float] = {}
        self._lock = threading.Lock()

    def lines(self) -> Iterator[bytes]:
        """Messages for the parent. Two threads may ask, one after the other."""
        with self._lock:
            changed: list[tuple[str, dict[str, str], float]] = []
            for sample in self._samples():
                key = _key(sample)
                if self._told.get(key) != sample.value:
                    self._told[key] = sample.value
                    changed.append((sample.name, sample.labels, sample.value))
            for start in range(0, len(changed), _LINE):
                yield msgspec.json.encode({"event": "numbers", "samples": changed[start : start + _LINE]})

    def _samples(self) -> Iterator[Sample]:
        for registry in self._registries:
            for family in registry.collect():
                if family.name.startswith(_OURS):
                    yield from family.samples


class ChildNumbers(Collector):
    """In the parent: its own families, with what its children have counted."""

    def __init__(self, *own: Registry) -> None:
        self._own = own
        self._now: dict[Key, float] = {}
        self._before: dict[Key, float] = {}  # of children that are gone: sums
        self._lock = threading.Lock()  # scrapes come on other threads

    def hear(self, samples: Iterable[tuple[str, Mapping[str, str], float]]) -> None:
        """What the child tells: not how much more, but how much."""
        with self._lock:
            for name, labels, value in samples:
                self._now[name, tuple(labels.items())] = value

    def replace_child(self) -> None:
        """The child is gone: what it has counted stays, what it was like does not."""
        with self._lock:
            for key, value in self._now.items():
                self._before[key] = self._before.get(key, 0) + value
            self._now = {}

    def collect(self) -> Iterator[Metric]:
        """All families."""
        with self._lock:
            now, before = self._now.copy(), self._before.copy()
        told: dict[str, list[Key]] = {}
        for key in {**before, **now}:
            told.setdefault(key[0], []).append(key)
        for registry in self._own:
            for family in registry.collect():
                is_gauge = family.type == "gauge"
                samples = {_key(sample): sample.value for sample in family.samples}
                for key in (key for suffix in _SUFFIXES for key in told.get(family.name + suffix, ())):
                    if not is_gauge:
                        samples[key] = samples.get(key, 0) + before.get(key, 0) + now.get(key, 0)
                    elif key in now:
                        samples[key] = now[key]
                family.samples = [Sample(name, dict(labels), value) for (name, labels), value in samples.items()]
                yield family


def _key(sample: Sample) -> Key:
    return sample.name, tuple(sample.labels.items())
