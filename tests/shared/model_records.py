"""What the model of the queue (`queue_model.py`) keeps of runs, threads and workers."""

from dataclasses import dataclass, field
from typing import TypedDict

MAX_UNSETTLED = 3  # workers that die with a run that they were only to settle, until it ends without them
MAX_CRASHES = 2  # the second worker that dies with a run is the last: a dead letter is then within reach of short walks
TERMINAL = ("success", "error", "interrupted")
SUPERSEDING = ("interrupt", "rollback")
Token = tuple[str, int]


class Choice(TypedDict, total=False):
    """What a request says of the run's place in the queue."""

    later: bool  # due in an hour
    queue: str
    priority: int
    tenant: str


@dataclass
class Run:
    """A moment is a pair: in how many hours, and when it was made. It is there when no hours are left."""

    thread: str
    moment: tuple[int, int]  # when it is due, which is its place on its thread
    not_before: tuple[int, int]  # when it may be claimed at the earliest, if that is later
    status: str = "pending"
    epoch: int = 0
    worker: str = ""
    wrote: bool = False
    cancel: str = ""
    crashes: int = 0
    dead: bool = False  # too many crashes: it is only to be settled, as a cancelled one
    unsettled: int = 0
    attempt: int = 0
    ended_by: int = 0  # the epoch of the token that ended it
    gone: bool = False  # rolled back: its record went with it

    @property
    def settles(self) -> bool:
        return self.dead or bool(self.cancel)

    @property
    def is_suspect(self) -> bool:
        return self.crashes >= MAX_CRASHES - 1 and not self.settles

    def crash(self) -> None:
        """Its worker died with it."""
        if self.settles:
            self.unsettled += 1
        else:
            self.crashes += 1
            self.dead = self.crashes >= MAX_CRASHES

    @property
    def due(self) -> tuple[int, int]:
        return max(self.moment, self.not_before)


@dataclass
class Thread:
    status: str = "idle"  # what it is when nothing runs or waits
    active: str = ""
    waiting: list[str] = field(default_factory=list)


@dataclass
class Worker:
    lease: str = "held"  # expired, and then none
    suspect: str = ""
    held: list[str] = field(default_factory=list)


class Refused(Exception):
    """The step is refused; the message is the name of the error."""
