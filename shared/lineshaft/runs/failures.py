"""Why a run failed, as operators see it: its exception with the stack. Callers may be told less."""

import msgspec
from msgspec import Struct

from lineshaft.errors import NotFound
from lineshaft.redis.client import Client


class Failure(Struct):
    """The exception that ended a run."""

    error: str  # its class
    message: str
    stack: str  # as Python prints it; of a long one the end


async def read_failure(client: Client, run_id: str) -> Failure:
    """Raises NotFound: the run is unknown, or no exception has ended it."""
    found = await client.command("HGET", client.keys.run(run_id), "failure")
    if found is None:
        raise NotFound(f"No failure of run {run_id} is known")
    return msgspec.json.decode(found, type=Failure)
