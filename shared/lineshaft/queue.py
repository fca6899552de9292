"""The queue in arq's own formats: the only file that knows them (arq 0.28)."""

import time

import msgspec

# Not arq's default queue, so that a default arq worker never takes a run.
DEFAULT_QUEUE = "runs"
# The name under which arq's tools list a run.
FUNCTION = "run"

_encode = msgspec.msgpack.encode


def job_payload(run_id: str) -> bytes:
    """What arq keeps under `arq:job:<id>`: try, function, args, kwargs, enqueue time (ms). msgpack, never pickle."""
    return _encode({"t": None, "f": FUNCTION, "a": [run_id], "k": {}, "et": int(time.time() * 1000)})
