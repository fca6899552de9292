"""Which queues a worker serves, and with what share of its slots: `--queues interactive:3,batch:1`."""

import re

from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client

from .control import queue_names
from .queue import OVERFLOW_QUEUE

_HEAVIEST = 1000  # beyond it the lightest queue would hardly ever be served beside it


def parse_weights(text: str) -> dict[str, int]:
    """Queue -> weight, 1 where none is given; empty for an empty text, which means all queues. Raises ConfigError."""
    weights: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, number = part.partition(":")
        is_weight = re.fullmatch("[0-9]{1,4}", number) and 1 <= int(number) <= _HEAVIEST
        if not name or (colon and not is_weight):
            raise ConfigError(f"queues: {part!r} is not of the form NAME or NAME:WEIGHT (1 to {_HEAVIEST})")
        if name in weights:
            raise ConfigError(f"queues: {name!r} is named twice")
        weights[name] = int(number or 1)
    return weights


async def served_queues(client: Client, text: str) -> str:
    """What a worker with these `--queues` serves, in the same form, beside the overflow queue, which all serve.

    Without any it serves all that there are, also one that was taken out of the configuration and still has runs.
    Raises ConfigError for a queue that there is not: a worker that waits for runs of a misspelt one would never say so.
    """
    weights = parse_weights(text)
    known = [name for name in await queue_names(client) if name != OVERFLOW_QUEUE]
    if lost := sorted(weights.keys() - set(known)):
        raise ConfigError(f"queues: there is no queue {lost[0]!r}. Queues: {', '.join(known)}")
    return ",".join(f"{name}:{weight}" for name, weight in (weights or dict.fromkeys(known, 1)).items())
