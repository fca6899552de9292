"""How much there is to do, and who is there to do it: what operators and autoscalers watch."""

from msgspec import Struct

from lineshaft.redis.client import Client

from .queue import OVERFLOW_QUEUE

THREAD_STATUSES = ("idle", "busy", "interrupted", "error")
_HEAD = 3 + len(THREAD_STATUSES) + 1  # numbers before those of the queues; see queue_measure.lua
_EACH = 8  # its name and numbers of a queue


class QueueLoad(Struct, frozen=True):
    """One queue."""

    ready: int  # due: a free slot takes them at once
    delayed: int  # due later
    running: int
    median_wait: float | None  # seconds that a ready run has waited for a worker; None: none is ready
    longest_wait: float | None  # seconds
    waiting: int = 0  # for another run of their thread, so they stand in no line yet
    parked: int = 0  # due, but a limit (`executor.limits`) has no slot for them: more workers would not help


class Load(Struct, frozen=True, kw_only=True):
    """The whole installation at one moment."""

    workers: int
    slots: int  # runs that all workers together can execute at a time
    dead_letters: int
    threads: dict[str, int]  # by status
    temporary_threads: int
    queues: dict[str, QueueLoad]

    @property
    def running(self) -> int:
        """Runs that a worker has claimed."""
        return sum(queue.running for queue in self.queues.values())

    @property
    def pending(self) -> int:
        """Runs that stand in a queue: due ones, also beyond a limit, and those that are due later."""
        return sum(queue.ready + queue.parked + queue.delayed for queue in self.queues.values())


async def measure(client: Client) -> Load:
    """Count, in one round trip whose cost does not grow with the number of runs."""
    names = [OVERFLOW_QUEUE, *client.settings.lineshaft_executor.names]
    numbers = await client.script("queue_measure", queues=names)
    rows = [numbers[start : start + _EACH] for start in range(_HEAD, len(numbers), _EACH)]
    return Load(
        workers=numbers[0],
        slots=numbers[1],
        dead_letters=numbers[2],
        threads=dict(zip(THREAD_STATUSES, numbers[3:], strict=False)),
        temporary_threads=numbers[_HEAD - 1],
        queues={
            name.decode(): QueueLoad(ready, delayed, running, _seconds(median), _seconds(longest), waiting, parked)
            for name, ready, delayed, running, waiting, parked, median, longest in rows
        },
    )


def _seconds(milliseconds: int) -> float | None:
    return None if milliseconds < 0 else milliseconds / 1000
