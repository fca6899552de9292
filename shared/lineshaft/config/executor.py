"""Which queues there are and what goes to them: the section `executor` of langgraph.json."""

import re
from typing import Annotated

from msgspec import Meta, Struct

from lineshaft.queues.queue import CRONS_QUEUE, DEFAULT_QUEUE, OVERFLOW_QUEUE, WEBHOOKS_QUEUE

# Part of names in Redis, on command lines (`--queues a:3,b:1`) and of metrics; 40 characters are enough to read.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_RESERVED = frozenset({CRONS_QUEUE, OVERFLOW_QUEUE, WEBHOOKS_QUEUE})


class QueueConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One queue."""

    graphs: tuple[str, ...] = ()  # whose runs go there unless the run or its assistant says otherwise


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many runs may run at once, of all queues and workers together. Runs that others wait for do not count."""

    per_tenant: Annotated[int, Meta(ge=1)] | None = None  # of one caller; all runs are one's where nobody is asked
    graphs: dict[str, Annotated[int, Meta(ge=1)]] = {}  # of one graph

    @property
    def lines(self) -> str:
        """The argument `limits` of run_claim.lua."""
        rows = [f"tenant\t{self.per_tenant}"] * (self.per_tenant is not None)
        return "\n".join(rows + [f"graph {graph}\t{most}" for graph, most in self.graphs.items()])


class ExecutorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section."""

    queues: dict[str, QueueConfig] = {}  # beside `runs`, which is always there
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        owners: dict[str, str] = {}
        for name, queue in self.queues.items():
            if name in _RESERVED:
                raise ValueError(f"queues: {name!r} is a queue of the server's own; choose another name")
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"queues: {name!r} cannot be a queue's name: up to 40 of a-z, 0-9, _ and -, "
                    "with a letter or digit first"
                )
            for graph in queue.graphs:
                if graph in owners:
                    raise ValueError(f"queues: graph {graph!r} stands in {owners[graph]!r} and in {name!r}")
                owners[graph] = name

    @property
    def names(self) -> list[str]:
        """All queues that runs can be sent to, by name."""
        return sorted({DEFAULT_QUEUE, *self.queues})

    @property
    def graphs(self) -> dict[str, str]:
        """Graph -> the queue of its runs, where that is not `runs`."""
        return {graph: name for name, queue in self.queues.items() for graph in queue.graphs}

    @property
    def named_graphs(self) -> set[str]:
        """All graphs that the section speaks of."""
        return {*self.graphs, *self.limits.graphs}
