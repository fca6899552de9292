"""What was taken, what was there already, and what could not be taken and why."""

import threading
from collections import Counter
from collections.abc import Callable

KINDS = ("assistants", "threads", "crons", "items")


class Report:
    """Counts, from several threads. `progress` hears of each kind how many have been looked at."""

    def __init__(self, progress: Callable[[str, int], None] = lambda _kind, _count: None) -> None:
        self.taken: Counter[str] = Counter()
        self.present: Counter[str] = Counter()
        self.missing: dict[str, list[str]] = {}  # why something was not taken, or not all of it -> what
        self.notes: list[str] = []
        self._progress = progress
        self._lock = threading.Lock()

    def take(self, kind: str) -> None:
        """One has been taken, or would be."""
        self._count(self.taken, kind)

    def find(self, kind: str) -> None:
        """One was there already."""
        self._count(self.present, kind)

    def miss(self, why: str, what: str) -> None:
        """Something, or a part of it, could not be taken."""
        with self._lock:
            self.missing.setdefault(why, []).append(what)

    def _count(self, counter: Counter[str], kind: str) -> None:
        with self._lock:
            counter[kind] += 1
            count = self.taken[kind] + self.present[kind]
        self._progress(kind, count)
