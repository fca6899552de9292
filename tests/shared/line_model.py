"""The lines of the queues as they should be: places, turns of tenants, priorities, and limits. A part of the model."""

from dataclasses import dataclass

QUEUES = ("overflow", "runs", "batch")
SETTLING = 1  # the band of runs that are only to be settled
HOUR = 60  # minutes: bands are a minute apart, but days in the overflow queue


@dataclass
class Standing:
    """Where a run stands while it waits."""

    queue: str
    band: int
    tenant: str
    round: int = -1  # -1: it has no place yet
    counted: bool = False
    parked: bool = False
    bearer: bool = False
    slot: bool = False


class LineModel:
    """All lines. `limit` is of the one graph that all runs have; 0: none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.standing: dict[str, Standing] = {}
        self.rounds: dict[tuple[str, int], int] = {}
        self.tenants: dict[tuple[str, int, str], tuple[int, int]] = {}  # next free round, and how many wait
        self.paused: set[str] = set()

    # places
    def place(self, name: str) -> None:
        run = self.standing[name]
        free, _ = self.tenants.get(self._tenant(run), (0, 0))
        run.round = max(free, self.rounds.get((run.queue, run.band), 0))
        self.count(name)

    def count(self, name: str) -> None:
        run = self.standing[name]
        if run.round < 0:
            return
        run.counted = True
        free, waiting = self.tenants.get(self._tenant(run), (0, 0))
        self.tenants[self._tenant(run)] = (max(free, run.round + 1), waiting + 1)

    def uncount(self, name: str, *, served: bool = False) -> None:
        run = self.standing[name]
        if not run.counted:
            return
        run.counted = False
        free, waiting = self.tenants[self._tenant(run)]
        del self.tenants[self._tenant(run)]
        if waiting > 1:
            self.tenants[self._tenant(run)] = (free, waiting - 1)
        band = (run.queue, run.band)
        if served and run.round > self.rounds.get(band, 0):
            self.rounds[band] = run.round

    def settle(self, name: str) -> None:
        """A run that stands nowhere now waits to be settled."""
        run = self.standing[name]
        if (run.queue, run.band) == ("overflow", SETTLING) and run.round >= 0:
            self.count(name)
            return
        run.queue, run.band = "overflow", SETTLING
        self.place(name)

    def leave(self, name: str, due: dict[str, tuple[int, int]], *, waits_on: bool = False) -> None:
        """It leaves its line, or gives its slot back; `due` are the moments of all runs."""
        run = self.standing[name]
        if not waits_on:
            self.uncount(name)
        bearer, slot = run.bearer, run.slot
        run.parked = run.bearer = run.slot = False
        if bearer:
            self.call(run.queue, due)
        if slot:
            for queue in QUEUES:
                self.call(queue, due)

    # whose turn it is
    def first(self, names: list[str], due: dict[str, tuple[int, int]]) -> str:
        """Of runs of one queue: a band's first run stands for it, and the longest waiting one has the turn."""
        bands: dict[int, str] = {}
        for name in sorted(names, key=lambda name: (self.standing[name].round, name_order(name))):
            bands.setdefault(self.standing[name].band, name)
        return min(bands.values(), key=lambda name: self._since(name, due[name])) if bands else ""

    def _since(self, name: str, due: tuple[int, int]) -> tuple[int, int]:
        run = self.standing[name]
        step = 24 * HOUR if run.queue == "overflow" else 1
        return due[0] * HOUR + run.band * step, due[1]

    # limits
    def blocks(self, name: str, *, settles: bool) -> bool:
        run = self.standing[name]
        return self.counts(name, settles=settles) and run.slot is False and self.held >= self.limit

    def counts(self, name: str, *, settles: bool) -> bool:
        return bool(self.limit) and self.standing[name].queue != "overflow" and not settles

    @property
    def held(self) -> int:
        return sum(run.slot for run in self.standing.values())

    def park(self, name: str) -> None:
        run = self.standing[name]
        run.parked, run.bearer = True, False

    def call(self, queue: str, due: dict[str, tuple[int, int]]) -> None:
        parked = [name for name, run in self.standing.items() if run.parked and run.queue == queue]
        if name := self.first(parked, due):
            self.standing[name].parked, self.standing[name].bearer = False, True

    def share(self, queue: str) -> dict[str, str]:
        """What is kept of a queue's turns, as lib/line.lua keeps it."""
        rounds = {f"v{band}": str(n) for (q, band), n in self.rounds.items() if q == queue}
        return rounds | {
            f"{band} {tenant}": f"{free} {waiting}"
            for (q, band, tenant), (free, waiting) in self.tenants.items()
            if q == queue
        }

    def _tenant(self, run: Standing) -> tuple[str, int, str]:
        return run.queue, run.band, "" if run.queue == "overflow" else run.tenant


def name_order(name: str) -> int:
    """Names are r0, r1... or r0.3, r1.7...: the number in front counts the runs."""
    return int(name[1:].partition(".")[0])
