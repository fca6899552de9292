"""What was done to the processes, and when: the only excuse for a step that ran twice."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# Faults after which a worker may have lost its runs.
OF_WORKERS = ("kill", "stop", "drain", "cut")
# Faults during which a worker cannot store what it does.
APART = ("stop", "cut", "redis")
# Seconds by which a fault outlives its end: a worker that was away learns from its next renewal what it has lost.
AFTERMATH = 2.0


@dataclass
class Fault:
    """One fault. `kind` begins with a word of the tuples above; `pids` are the processes that felt it."""

    kind: str
    target: str
    pids: set[int]
    began: float
    ended: float = float("inf")

    @property
    def family(self) -> str:
        return self.kind.partition(" ")[0]


@dataclass
class Ledger:
    """All faults so far."""

    faults: list[Fault] = field(default_factory=list)

    @contextmanager
    def fault(self, kind: str, target: str, pids: set[int]) -> Iterator[Fault]:
        """Note a fault that lasts as long as the block."""
        fault = Fault(kind, target, pids, time.time())
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.ended = time.time()

    def note(self, kind: str, target: str) -> None:
        """A fault that is over at once, and excuses nobody."""
        with self.fault(kind, target, set()):
            pass

    def struck(self, pid: int, families: tuple[str, ...], since: float, until: float) -> bool:
        """Whether a process felt a fault of these families at some time of an interval. Redis is everybody's."""
        return any(
            fault.family in families
            and (pid in fault.pids or fault.family == "redis")
            and fault.began <= until
            and fault.ended + AFTERMATH >= since
            for fault in self.faults
        )

    def happened(self, kinds: tuple[str, ...], at: float) -> bool:
        """Whether a fault whose kind begins with one of these went on at a time, or was just over."""
        return any(
            fault.kind.startswith(kinds) and fault.began <= at <= fault.ended + AFTERMATH for fault in self.faults
        )

    def write(self, file: Path) -> None:
        """For a person who looks for a cause."""
        file.write_text("".join(f"{fault}\n" for fault in self.faults))

    def count(self) -> dict[str, int]:
        """How many of each kind."""
        counts: dict[str, int] = {}
        for fault in self.faults:
            counts[fault.kind] = counts.get(fault.kind, 0) + 1
        return dict(sorted(counts.items()))
