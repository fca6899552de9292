"""The queue in arq's own formats: the only file that knows them (arq 0.28)."""

import time

import msgspec

# Not arq's default queue, so that a default arq worker never takes a run.
DEFAULT_QUEUE = "runs"
# Runs that take no ordinary slot: those that a running one waits for, and those that only have to be settled. The name
# stands in lib/queue.lua too.
OVERFLOW_QUEUE = "overflow"
QUEUES = (OVERFLOW_QUEUE, DEFAULT_QUEUE)
# Not a queue of runs: what senders of webhooks are woken by.
WEBHOOKS_QUEUE = "webhooks"
# Nor this: what schedulers of crons are woken by. The name stands in lib/crons.lua too.
CRONS_QUEUE = "crons"
# The name under which arq's tools list a run.
FUNCTION = "run"

_encode = msgspec.msgpack.encode


def job_payload(run_id: str) -> bytes:
    """What arq keeps under `arq:job:<id>`: try, function, args, kwargs, enqueue time (ms). msgpack, never pickle."""
    return _encode({"t": None, "f": FUNCTION, "a": [run_id], "k": {}, "et": int(time.time() * 1000)})
