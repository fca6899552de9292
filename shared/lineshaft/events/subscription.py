"""Hearing what is published, on a connection whose death nobody would notice: so it is asked when it is quiet."""

from typing import Any

import redis.exceptions as rx

_QUIET = 10.0  # seconds without a message until we ask; whoever subscribes also looks for himself every few seconds
_SILENCE = 5.0  # seconds for the answer


async def next_message(pubsub: Any, quiet: float = _QUIET, silence: float = _SILENCE) -> dict[str, Any]:
    """The next message on a redis-py PubSub, confirmations of subscriptions too.

    Raises redis-py's errors when the connection fails, among them TimeoutError when it shows no sign of life. The next
    call connects and subscribes again.
    """
    while True:
        message = await pubsub.get_message(timeout=quiet)
        if message is None:
            await pubsub.ping()
            message = await pubsub.get_message(timeout=silence)
            if message is None:
                await pubsub.connection.disconnect(nowait=True)
                raise rx.TimeoutError(f"no sign of life within {silence} seconds")
        if message["type"] != "pong":
            return dict(message)
