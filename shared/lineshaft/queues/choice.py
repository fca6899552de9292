"""Which queue a run goes to, and how soon its turn comes there: its own choice, else its assistant's, else its graph's.

Clients choose through `config.configurable`, since every SDK has that: `lineshaft_queue` and `lineshaft_priority`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from lineshaft.config.executor import ExecutorConfig
from lineshaft.errors import Invalid

QUEUE, PRIORITY = "lineshaft_queue", "lineshaft_priority"
# Of the configurable they only steer: a context that a graph declares has no place for them.
CHOICES = frozenset({QUEUE, PRIORITY})
_HIGHEST = 5  # priorities go from -5 to 5; the same in lua/lib/line.lua
_LONGEST_TENANT = 128  # characters; a name that is longer is as good as unreadable and would fill every record


class Choice(Struct, frozen=True):
    """What one source says; empty where it leaves the choice to the next."""

    queue: str = ""
    priority: int | str = ""


def accept_choice(configurable: Mapping[str, Any], executor: ExecutorConfig) -> Choice:
    """What a client has chosen. Raises Invalid for a queue that there is not, or another priority than -5 to 5."""
    queue, priority = configurable.get(QUEUE), configurable.get(PRIORITY)
    if queue is not None and queue not in executor.names:
        known = ", ".join(executor.names)
        raise Invalid(f"config.configurable.{QUEUE}: there is no queue {queue!r}. Queues: {known}")
    if priority is not None and not _is_priority(priority):
        raise Invalid(f"config.configurable.{PRIORITY}: expected a whole number from -5 to 5, got {priority!r}")
    return Choice(queue or "", "" if priority is None else priority)


def stored_choice(configurable: Any) -> Choice:
    """What an assistant says that was accepted once, perhaps with other queues: what makes no sense is left out."""
    found = configurable if isinstance(configurable, dict) else {}
    queue, priority = found.get(QUEUE), found.get(PRIORITY)
    return Choice(
        queue if isinstance(queue, str) else "",
        priority if isinstance(priority, int) and _is_priority(priority) else "",
    )


def routes(executor: ExecutorConfig, choice: Choice) -> dict[str, str]:
    """Arguments of run_enqueue.lua: which queues there are, the chosen one at least, and whose runs go to them."""
    lines = [f"{graph}\t{queue}" for graph, queue in executor.graphs.items()]
    names = sorted({*executor.names, choice.queue} - {""})
    return {"queues": _lines(names), "graph_queues": _lines(lines)}


def tenant(identity: str) -> str:
    """Whose share of a queue a run takes, of the caller's identity: '' where nobody is asked who they are."""
    return identity[:_LONGEST_TENANT]


def _lines(lines: list[str]) -> str:
    return "\n" + "".join(f"{line}\n" for line in lines)


def _is_priority(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _HIGHEST
