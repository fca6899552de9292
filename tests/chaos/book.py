"""What the clients know: which runs were acknowledged, what was asked of them, and what came back."""

from dataclasses import dataclass, field


@dataclass
class Asked:
    """A run that a client was told exists."""

    run_id: str
    thread_id: str
    before: float  # the host's time when it was asked for
    acknowledged: float
    strategy: str = "enqueue"
    after: float = 0.0  # seconds that it was to wait
    steps: tuple[int, ...] | None = None  # that it makes if it succeeds; None if that depends on others
    fails: bool = False
    temporary: bool = False
    tried: set[str] = field(default_factory=set)  # ways in which it was to be cancelled
    cancelled: bool = False  # one of them was acknowledged
    status: str = ""  # in the end, as the API says; "gone" for 404


@dataclass
class Stream:
    """What a client got to read."""

    run_id: str
    thread_id: str
    resumable: bool
    whole: bool = True  # it was read from the first event on
    ids: list[str] = field(default_factory=list)
    reconnects: int = 0
    ended: bool = False
    early: list[float] = field(default_factory=list)  # when it ended, and its run was not over


@dataclass
class Book:
    """All of it."""

    runs: dict[str, Asked] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    written: dict[str, set[str]] = field(default_factory=dict)  # thread -> what state updates have put into its trail
    refused: dict[str, set[str]] = field(default_factory=dict)  # thread -> what they certainly have not
    answers: dict[str, set[str]] = field(default_factory=dict)  # thread -> answers given to its question
    messages: dict[str, set[str]] = field(default_factory=dict)  # thread -> ids of messages that were acknowledged
    lost: int = 0  # requests for runs whose answer never came
    rejected: int = 0  # by multitask_strategy
    cancels: int = 0
    resumes: int = 0
    waits: int = 0
    stuck: list[str] = field(default_factory=list)  # what a client has waited for in vain

    def ask(self, run: Asked) -> Asked:
        self.runs[run.run_id] = run
        return run
