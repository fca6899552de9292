"""All that is known in the end: what clients heard, what steps did, what Redis has kept, and what was done to whom."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from lineshaft.events.log import END
from tests.chaos.book import Asked, Book
from tests.chaos.journal import Line
from tests.chaos.ledger import Ledger


@dataclass(frozen=True)
class Event:
    """One entry of a thread's event log: claims (`metadata`) and ends are among them, written by their scripts."""

    ident: str  # as clients see it
    at: float  # seconds; the host's clock is also Redis's
    run: str
    name: str
    data: str = ""


@dataclass(frozen=True)
class Record:
    """A run's record."""

    run_id: str
    thread_id: str
    status: str
    due: float  # seconds
    after: float = 0.0  # seconds of its `after_seconds`
    strategy: str = "enqueue"
    attempt: int = 1
    crashes: int = 0
    error: str = ""
    cancel: str = ""

    @property
    def enqueued(self) -> float:
        return self.due - self.after


@dataclass
class History:
    """Everything that the invariants look at."""

    book: Book
    ledger: Ledger = field(default_factory=Ledger)
    lines: list[Line] = field(default_factory=list)
    logs: dict[str, list[Event]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    trails: dict[str, list[str]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)  # ids, as GET /threads/{id}/messages shows them

    @property
    def kept_runs(self) -> list[Asked]:
        """Acknowledged runs of threads that nobody has deleted."""
        return [run for run in self.book.runs.values() if run.thread_id not in self.book.deleted]

    @cached_property
    def kept_logs(self) -> dict[str, list[Event]]:
        return {thread_id: log for thread_id, log in self.logs.items() if thread_id not in self.book.deleted}

    @cached_property
    def by_run(self) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = defaultdict(list)
        for log in self.kept_logs.values():
            for event in log:
                found[event.run].append(event)
        return found

    @cached_property
    def of_thread(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.records.values():
            found[record.thread_id].append(record)
        return found

    @cached_property
    def lines_of_run(self) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            found[line.run].append(line)
        return found

    def ends(self, run_id: str) -> list[Event]:
        return [event for event in self.by_run.get(run_id, ()) if event.name == END]

    def claims(self, run_id: str) -> list[Event]:
        return [event for event in self.by_run.get(run_id, ()) if event.name == "metadata"]
