"""What operators order for a queue as a whole: to pause it, to drain it, to go on.

A paused queue takes runs and gives none to workers; a draining one gives what it has and takes no more. What is running
goes on either way, and so do runs that others wait for, which stand in the overflow queue.
"""

from typing import Literal, get_args

from msgspec import Struct

from lineshaft.errors import Invalid, NotFound
from lineshaft.redis.client import Client

from .queue import OVERFLOW_QUEUE

State = Literal["open", "paused", "draining"]


class QueueState(Struct, frozen=True):
    """One queue, and what was ordered for it last."""

    name: str
    state: State


async def read_states(client: Client) -> list[QueueState]:
    """All queues that are known, by name: those of this installation's configuration, and those that were ever used.

    Not the overflow queue, which is nobody's to stop: running runs wait for what stands in it.
    """
    rows = await client.command("HGETALL", client.keys.queues())
    states = {name.decode(): state.decode() for name, state in zip(rows[::2], rows[1::2], strict=True)}
    names = client.settings.lineshaft_executor.names
    return [QueueState(name, _state(states.get(name, "open"))) for name in sorted({*names, *states})]


async def queue_names(client: Client) -> list[str]:
    """All queues in which runs may stand: the overflow queue, and those that `read_states` shows."""
    return [OVERFLOW_QUEUE, *(found.name for found in await read_states(client))]


async def pause(client: Client, queue: str) -> QueueState:
    """Let nobody claim a run of it. Raises NotFound for a queue that is not known, Invalid for the overflow queue."""
    return await _order(client, queue, "paused")


async def drain(client: Client, queue: str) -> QueueState:
    """Refuse new runs (Unavailable for whoever creates one) and execute those that are there. Raises as `pause`."""
    return await _order(client, queue, "draining")


async def resume(client: Client, queue: str) -> QueueState:
    """End a pause or a drain. Raises as `pause`."""
    return await _order(client, queue, "open")


# What each state is ordered by.
ACTIONS: dict[State, str] = {"open": "resume queue", "paused": "pause queue", "draining": "drain queue"}


async def order(client: Client, queue: str, state: State) -> tuple[bool, str]:
    """The same by the wanted state: whether it is news, and a sentence. Raises as `pause`."""
    before = {found.name: found.state for found in await read_states(client)}
    changed = before.get(queue) != (await _order(client, queue, state)).state
    return changed, f"Queue {queue} is {state}{'' if changed else ' already'}."


async def _order(client: Client, queue: str, state: State) -> QueueState:
    if queue == OVERFLOW_QUEUE:
        raise Invalid("Queue overflow cannot be stopped: running runs wait for those in it")
    known = [found.name for found in await read_states(client)]
    if queue not in known:
        raise NotFound(f"Queue {queue!r} not found. There are: {', '.join(known)}")
    await client.script("queue_control", queue=queue, state=state)
    return QueueState(queue, state)


def _state(stored: str) -> State:
    """A state that a newer version has stored stops nothing here."""
    return next((state for state in get_args(State) if state == stored), "open")
