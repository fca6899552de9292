"""All that is in a thread's log, however many reads that takes."""

from lineshaft.events.log import Entry, EventLog
from lineshaft.redis.client import Client


async def whole_log(client: Client, thread_id: str) -> list[Entry]:
    found: list[Entry] = []
    while page := await EventLog(client).read(thread_id, found[-1].id if found else "0-0"):
        found += page
    return found
