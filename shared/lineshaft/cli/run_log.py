"""Reading the events of one run, to its end if that is wanted."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import Raw, Struct

from lineshaft.errors import NotFound
from lineshaft.events.log import END, USUAL, EventLog, is_full
from lineshaft.redis.client import Client
from lineshaft.runs.record import FIELDS, read_record

_LOOK_SECONDS = 0.3  # between two looks while nothing comes: a person does not notice, and Redis neither


class LogLine(Struct):
    """An event. The last one is `end`, with the run's status."""

    id: str
    attempt: int
    event: str
    data: Raw


async def follow_run(client: Client, run_id: str, *, follow: bool) -> AsyncIterator[LogLine]:
    """The run's events that are kept, and with `follow` those that come, until it has ended. Raises NotFound."""
    log, place, thread_id = EventLog(client), "", ""
    while True:
        # Before the log: whatever the run wrote until it ended is there then.
        record = read_record(await client.command("HMGET", client.keys.run(run_id), *FIELDS))
        if not thread_id:
            if record is None:
                raise NotFound(f"Run with ID {run_id} not found")
            thread_id, place = record.thread, record.position
        page = await log.read(thread_id, place)
        for entry in page:
            place = entry.id
            if entry.run_id in {run_id, ""}:  # of no run: a gap
                yield LogLine(entry.id, entry.attempt, entry.event, Raw(entry.data))
            if entry.run_id == run_id and entry.event == END:
                return
        if is_full(page, USUAL):
            continue
        if not follow or record is None or not record.is_active:
            return
        await asyncio.sleep(_LOOK_SECONDS)
