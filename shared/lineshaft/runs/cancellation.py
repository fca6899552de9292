"""Cancelling runs: the request of a client, and how a worker hears of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Literal

from lineshaft.errors import NotFound
from lineshaft.events.subscription import next_message
from lineshaft.ids import uuid7
from lineshaft.queues.control import queue_names
from lineshaft.redis.client import Client

Action = Literal["interrupt", "rollback"]
Only = Literal["", "pending", "running"]
Among = Callable[[list[str]], Awaitable[set[str]]]  # chooses among thread ids


async def cancel(  # noqa: PLR0917 - which run, and how
    client: Client, thread_id: str, run_id: str, action: Action, reason: str, only: Only = ""
) -> bool:
    """Cancel one run; True if it has ended with this call, False if its worker was told.

    The first action on a run stands. Raises NotFound for an unknown run and for one that has ended.
    """
    answer = await client.script(
        "run_cancel",
        run_id=run_id,
        thread_id=thread_id,
        action=action,
        reason=reason,
        only=only,
        request=uuid7(),
    )
    return bool(answer == b"ended")


async def cancel_some(
    client: Client, runs: Iterable[tuple[str, str]], action: Action, reason: str, only: Only = ""
) -> int:
    """Cancel runs, given as pairs of thread id and run id; how many there were to cancel."""

    async def one(thread_id: str, run_id: str) -> int:
        try:
            await cancel(client, thread_id, run_id, action, reason, only)
        except NotFound:
            return 0
        return 1

    # Each is a script of its own, and all of them are under way at once: Redis serves others in between.
    return sum(await asyncio.gather(*(one(thread_id, run_id) for thread_id, run_id in runs)))


async def cancel_of_assistant(client: Client, assistant_id: str, thread_ids: Sequence[str], reason: str) -> int:
    """Cancel the runs that an assistant has under way or waiting on these threads; how many there were."""
    keys, cancelled = client.keys, 0
    for thread_id in thread_ids:
        active, waiting = await client.commands(
            ("HGET", keys.thread(thread_id), "active"), ("ZRANGE", keys.thread_waiting(thread_id), 0, -1)
        )
        runs = [run_id.decode() for run_id in (*waiting, active) if run_id]
        if not runs:
            continue
        owners = await client.commands(*(("HGET", keys.run(run_id), "assistant") for run_id in runs))
        its = [(thread_id, run) for run, owner in zip(runs, owners, strict=True) if owner == assistant_id.encode()]
        cancelled += await cancel_some(client, its, "interrupt", reason)
    return cancelled


async def cancel_all(client: Client, action: Action, reason: str, only: Only = "", among: Among | None = None) -> int:
    """Cancel all runs that are `only` pending or running (or either); how many there were.

    Of all threads, or of those that `among` chooses.

    Runs that are created meanwhile may be spared.
    """
    queues = await queue_names(client)
    return sum([await _cancel_queued(client, queue, action, reason, only, among) for queue in queues])


async def _cancel_queued(  # noqa: PLR0917 - which runs, and how
    client: Client, queue: str, action: Action, reason: str, only: Only, among: Among | None
) -> int:
    keys, cancelled, cursor = client.keys, 0, b"0"
    while True:
        # Every thread with something to do has one run in a queue: the one that runs, or the one that is next.
        cursor, page = await client.command("ZSCAN", keys.queue(queue), cursor, "COUNT", 100)
        heads = [run_id.decode() for run_id in page[::2]]
        if heads:
            threads = await client.commands(*(("HGET", keys.run(run_id), "thread") for run_id in heads))
            owned = [(t.decode(), run_id) for t, run_id in zip(threads, heads, strict=True) if t]
            if among is not None and owned:
                chosen = await among([thread_id for thread_id, _ in owned])
                owned = [(thread_id, run_id) for thread_id, run_id in owned if thread_id in chosen]
            behind = (
                await client.commands(*(("ZRANGE", keys.thread_waiting(t), 0, -1) for t, _ in owned)) if owned else []
            )
            waiting = {(t, w.decode()) for (t, _), runs in zip(owned, behind, strict=True) for w in runs}
            cancelled += await cancel_some(client, waiting | set(owned), action, reason, only)
        if cursor == b"0":
            return cancelled


async def notifications(client: Client, worker: str) -> AsyncIterator[str]:
    """Run ids whose cancellation this worker is told of, as they come, across losses of the connection.

    An empty id means that the worker listens from now on, or again: what was published meanwhile is lost, and a look at
    its holdings finds it. Or that it was resumed by an operator.
    """
    blocking = client.blocking()
    try:
        async with blocking.pubsub() as pubsub:
            # redis-py subscribes again by itself after it has reconnected.
            await client.patiently(lambda: pubsub.subscribe(client.keys.worker_channel(worker)), "subscribe")
            while True:
                message = await client.patiently(lambda: next_message(pubsub), "notifications")
                yield message["data"].decode() if message["type"] == "message" else ""
    finally:
        await blocking.aclose()
