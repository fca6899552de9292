"""How a worker's slots are shared among the queues that it serves."""

from collections import Counter
from collections.abc import Iterable

from lineshaft.queues.queue import OVERFLOW_QUEUE

# Slots of the overflow queue, for each of our own: enough for a node that calls four graphs at once. And one for each
# level of nesting, which run_claim.lua keeps free.
_OVERFLOW, _LEVELS = 4, 8
_BATCH = 16  # runs of a queue per claim: keeps the script under a millisecond


class Shares:
    """The slots of one worker: those of the overflow queue, and those that all other queues share by weight.

    A queue may take what the others leave free. Which of them gives the next run says run_claim.lua; here is kept how
    far each was served.
    """

    def __init__(self, weights: dict[str, int], slots: int) -> None:
        self._weights = weights
        self._slots = slots
        self._overflow = _OVERFLOW * slots + _LEVELS
        self._taken: Counter[str] = Counter()
        self._served = dict.fromkeys(weights, 0.0)

    @property
    def queues(self) -> tuple[str, ...]:
        """All that this worker serves."""
        return (OVERFLOW_QUEUE, *self._weights)

    def free(self, queue: str) -> int:
        """Slots for further runs of a queue."""
        if queue == OVERFLOW_QUEUE:
            return self._overflow - self._taken[queue]
        return self._slots - (self._taken.total() - self._taken[OVERFLOW_QUEUE])

    def taken(self, queue: str) -> int:
        """Slots that its runs have now."""
        return self._taken[queue]

    def free_part(self, queue: str) -> float:
        """Of the free slots its part by weight: the parts of all queues come to the free slots."""
        if queue == OVERFLOW_QUEUE:
            return self.free(queue)
        return self.free(queue) * self._weights[queue] / sum(self._weights.values())

    def rooms(self) -> dict[str, int]:
        """How many runs of each queue a claim may ask for; without those that have no room."""
        return {queue: min(free, _BATCH) for queue in self.queues if (free := self.free(queue)) > 0}

    def lines(self) -> str:
        """The argument `shares` of run_claim.lua."""
        if len(self._weights) < 2:
            return ""
        rows = (f"{q} {weight} {self._taken[q]} {self._served[q]:.4f}\n" for q, weight in self._weights.items())
        return "\n" + "\n".join(rows)

    def take(self, queue: str) -> None:
        """A run of this queue has a slot now."""
        self._taken[queue] += 1
        if queue in self._served:
            self._served[queue] += 1 / self._weights[queue]
            # One that was idle has saved nothing: it comes next, and then takes turns as the others do.
            least = max(self._served.values()) - 1
            self._served = {name: max(served, least) for name, served in self._served.items()}

    def give_back(self, queue: str) -> None:
        """A run of this queue has ended."""
        self._taken[queue] -= 1

    def full(self, taken: Iterable[str], rooms: dict[str, int]) -> bool:
        """Whether a claim that gave runs of these queues was ended by its rooms, and may be asked for again."""
        counts = Counter("" if queue != OVERFLOW_QUEUE else queue for queue in taken)
        shared = {"" if queue != OVERFLOW_QUEUE else queue: room for queue, room in rooms.items()}
        return any(counts[group] == room and self._room(group) > 0 for group, room in shared.items())

    def _room(self, group: str) -> int:
        return self.free(group or next(iter(self._weights)))
