"""Cancelling runs: the request of a client, and how a worker hears of it."""

from collections.abc import AsyncIterator
from typing import Literal

from .redis import Client

Action = Literal["interrupt", "rollback"]


async def cancel(client: Client, thread_id: str, run_id: str, action: Action, reason: str) -> bool:
    """Cancel one run; True if it has ended with this call, False if its worker was told.

    The first action on a run stands. Raises NotFound for an unknown run and for one that has ended.
    """
    answer = await client.script("run_cancel", run_id=run_id, thread_id=thread_id, action=action, reason=reason)
    return bool(answer == b"ended")


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
