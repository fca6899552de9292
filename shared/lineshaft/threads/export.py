"""All that is kept of a thread, to hand it out or to remove it: what a person may ask of whoever stores their data."""

from collections.abc import AsyncIterator

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from lineshaft.assistants.queries import Queries
from lineshaft.crons.cron import MAX_ON_THREAD, CronFilter, CronStore
from lineshaft.crons.record import Cron
from lineshaft.errors import NotFound, TooLarge
from lineshaft.redis.client import Client
from lineshaft.runs.run import Run, RunStore

from .thread import Thread, ThreadStore

# States asked for at once: each may have megabytes, and a worker has seconds to answer.
_STATES_AT_ONCE = 10
_RUNS_AT_ONCE = 100


class ExportLine(Struct, kw_only=True, omit_defaults=True):
    """One line of an export: a thread, then lines with what belongs to it, until the next thread."""

    thread: Thread | UnsetType = UNSET
    message: Raw | UnsetType = UNSET  # one that waits for a run; others are in the states
    run: Run | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    state: Raw | UnsetType = UNSET  # a ThreadState, newest first; those of a subgraph have its `checkpoint_ns`


class _Named(Struct):
    checkpoint_id: str


async def export_thread(
    client: Client, queries: Queries, thread_id: str, *, with_history: bool = True
) -> AsyncIterator[ExportLine]:
    """The lines of one thread; nothing if it is gone. Only a worker can read a history.

    Raises Unavailable if none answers, TooLarge for a state that is no answer, and what a worker raises.
    """
    keys = client.keys
    try:
        thread = await ThreadStore(client).get(thread_id, with_ttl=True)
    except NotFound:
        return
    yield ExportLine(thread=thread)
    for key in (keys.thread_held(thread_id), keys.thread_inbox(thread_id)):
        for message in await client.command("LRANGE", key, 0, -1):
            yield ExportLine(message=Raw(message))
    offset = 0
    while runs := await _page(client, thread_id, offset):
        for run in runs:
            yield ExportLine(run=run)
        offset += len(runs)
    for cron in (await CronStore(client).search(CronFilter(thread_id=thread_id), limit=MAX_ON_THREAD)).rows:
        yield ExportLine(cron=cron)
    if with_history:
        async for state in _history(client, queries, thread_id):
            yield ExportLine(state=state)


async def _history(client: Client, queries: Queries, thread_id: str) -> AsyncIterator[Raw]:
    keys = client.keys
    graph_id = await client.command("HGET", keys.thread(thread_id), "graph_id")
    if graph_id is None:
        return
    for ns in sorted(await client.members(keys.checkpoint_namespaces(thread_id))):
        before, at_once = None, _STATES_AT_ONCE
        while True:
            args = {"before": before, "checkpoint": {"checkpoint_ns": ns.decode()}}
            try:
                answer = await queries.ask("history", thread_id, graph_id.decode(), limit=at_once, **args)
            except TooLarge:
                if at_once == 1:
                    raise
                at_once = 1
                continue
            states = msgspec.json.decode(answer, type=list[Raw])
            for state in states:
                yield state
            if len(states) < at_once:
                break
            before = msgspec.json.decode(states[-1], type=_Named).checkpoint_id


async def _page(client: Client, thread_id: str, offset: int) -> list[Run]:
    try:
        return await RunStore(client).page(thread_id, limit=_RUNS_AT_ONCE, offset=offset)
    except NotFound:  # deleted meanwhile
        return []


async def erase_thread(client: Client, thread_id: str) -> bool:
    """Delete a thread, and what a deletion leaves: calls at the end of its runs. Whether it was there."""
    runs = await client.command("ZRANGE", client.keys.thread_runs(thread_id), 0, -1)
    # First, as nobody would find them once the thread is gone; and again, as a run may have ended meanwhile.
    await _forget_calls(client, runs)
    try:
        await ThreadStore(client).delete(thread_id)
    except NotFound:
        return False
    await _forget_calls(client, runs)
    return True


async def _forget_calls(client: Client, runs: list[bytes]) -> None:
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        await client.script("webhook_forget", run_ids=runs[start : start + _RUNS_AT_ONCE])
