"""Cancelling runs: the request of a client, and how a worker hears of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Literal

from .errors import NotFound
from .queue import DEFAULT_QUEUE
from .redis import Client

Action = Literal["interrupt", "rollback"]
Only = Literal["", "pending", "running"]


async def cancel(  # noqa: PLR0917 - which run, and how
    client: Client, thread_id: str, run_id: str, action: Action, reason: str, only: Only = ""
) -> bool:
    """Cancel one run; True if it has ended with this call, False if its worker was told.

    The first action on a run stands. Raises NotFound for an unknown run and for one that has ended.
    """
    answer = await client.script(
        "run_cancel", run_id=run_id, thread_id=thread_id, action=action, reason=reason, only=only
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


async def cancel_all(client: Client, action: Action, reason: str, only: Only = "") -> int:
    """Cancel all runs of all threads that are `only` pending or running (or either); how many there were.

    Runs that are created meanwhile may be spared.
    """
    keys, cancelled, cursor = client.keys, 0, b"0"
    while True:
        # Every thread with something to do has one run in the queue: the one that runs, or the one that is next.
        cursor, page = await client.command("ZSCAN", keys.queue(DEFAULT_QUEUE), cursor, "COUNT", 100)
        heads = [run_id.decode() for run_id in page[::2]]
        if heads:
            threads = await client.commands(*(("HGET", keys.run(run_id), "thread") for run_id in heads))
            owned = [(t.decode(), run_id) for t, run_id in zip(threads, heads, strict=True) if t]
            behind = await client.commands(*(("ZRANGE", keys.thread_waiting(t), 0, -1) for t, _ in owned))
            waiting = {(t, w.decode()) for (t, _), runs in zip(owned, behind, strict=True) for w in runs}
            cancelled += await cancel_some(client, waiting | set(owned), action, reason, only)
        if cursor == b"0":
            return cancelled


async def notifications(client: Client, worker: str) -> AsyncIterator[str]:
    """Run ids whose cancellation this worker is told of, as they come, across losses of the connection.

    A notification can be lost with the connection: the worker's regular look at its holdings is what finds it then.
    """
    blocking = client.blocking()
    try:
        async with blocking.pubsub() as pubsub:
            # redis-py subscribes again by itself after it has reconnected.
            await client.patiently(lambda: pubsub.subscribe(client.keys.worker_channel(worker)), "subscribe")
            while True:
                message = await client.patiently(
                    lambda: pubsub.get_message(ignore_subscribe_messages=True, timeout=None), "notifications"
                )
                if message is not None:
                    yield message["data"].decode()
    finally:
        await blocking.aclose()
