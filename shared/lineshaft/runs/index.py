"""The index of runs: finding runs of all threads by what operators ask for, in bounded pages.

Scripts keep it (lua/lib/run_index.lua): one sorted set of runs that have not ended, one of those that ended lately, one
of those of them that failed. What else is asked for is compared with the records, some of them at a time.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from lineshaft.clock import iso
from lineshaft.errors import Invalid
from lineshaft.redis.client import Client

# Records that one page looks at; each is one HMGET in a pipeline, about 3 us of Redis. A filter that hardly anything
# matches is asked for page by page.
LOOKED_AT = 1000
_AT_ONCE = 100  # of these, in one round trip
_TRIMMED_AT_ONCE = 5_000  # some milliseconds of Redis
_DAY_MS = 86_400_000

# Which index, and the last run of the page before: its score there and its id.
_CURSOR = re.compile(r"([01]):(\d{1,16}(?:\.\d{1,6})?):([0-9a-f-]{36})")

Status = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
# Of one that has not ended: whether it can be claimed, is due later, or waits for another run of its thread.
State = Literal["ready", "delayed", "waiting", "running", "ended"]
_OPEN, _FAILED = ("pending", "running"), ("error", "timeout")
_FIELDS = (
    "thread", "graph", "assistant", "queue", "status", "cancel", "created", "made", "started", "ended", "attempt",
    "worker", "error_class", "crashes", "dead",
)  # fmt: skip
_Name = Annotated[str, Meta(min_length=1, max_length=512)]
_Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class RunFilter(Struct, kw_only=True, omit_defaults=True):
    """Which runs: all conditions must hold."""

    status: Annotated[Status, Meta(description="As it is, also of a run that is being cancelled.")] | None = None
    graph: _Name | None = None
    thread: Annotated[_Name, Meta(description="A thread's id.")] | None = None
    assistant: Annotated[_Name, Meta(description="An assistant's id.")] | None = None
    queue: _Name | None = None
    error_class: Annotated[_Name, Meta(description="The class of the error that ended it, as `ValueError`.")] | None = (
        None
    )
    worker: Annotated[_Name, Meta(description="The worker that holds it now.")] | None = None
    older_than: Annotated[_Seconds, Meta(description="Made at least so many seconds ago.")] | None = None
    newer_than: Annotated[_Seconds, Meta(description="Made at most so many seconds ago.")] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing, and so means every run."""
        return all(getattr(self, name) is None for name in self.__struct_fields__)


class RunRow(Struct, kw_only=True):
    """A run as lists show it."""

    run_id: str
    thread_id: str
    graph_id: str
    assistant_id: str
    queue: str
    status: Status
    state: State
    cancel: str  # the action that was asked for, or ''
    error_class: str
    worker: str  # that holds it now, or ''
    attempt: int
    crashes: int  # workers that died with it
    is_dead: bool  # given up, see the dead letters
    made_at: str
    due_at: str
    started_at: str | None
    ended_at: str | None
    age: float  # seconds since it was made


class RunPage(Struct):
    """Some runs that match, newest first within what has not ended, and then within what has."""

    runs: list[RunRow]
    next: str | None  # the cursor of the next page; None on the last. A page may be empty and not the last


class RunIndex:
    """The index in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = client.keys

    async def page(self, where: RunFilter, *, limit: int = 50, cursor: str = "") -> RunPage:
        """Up to `limit` matches, after a look at LOOKED_AT runs at most. Raises Invalid for a cursor that is none.

        A run that changes its place while somebody pages may be shown twice, or, if it is gone, not at all.
        """
        place, score, last = _read(cursor)
        if where.thread is None and (where.worker is not None or where.status == "running"):
            return await self._running_page(where, limit, last)
        sources = self._sources(where)
        now = await redis_time(self._client)
        found: list[RunRow] = []
        looked = 0
        while place < len(sources):
            behind = await self._behind(sources[place], score, last)
            for (last, score), row in zip(behind, await self._rows([i for i, _ in behind], now), strict=True):
                looked += 1
                if row and _matches(row, where):
                    found.append(row)
                if len(found) >= limit or looked >= LOOKED_AT:
                    await self._tell_states(found, now)
                    return RunPage(found, f"{place}:{score}:{last}")
            if len(behind) < _AT_ONCE:
                place, score, last = place + 1, "", ""
        await self._tell_states(found, now)
        return RunPage(found, None)

    async def _running_page(self, where: RunFilter, limit: int, last: str) -> RunPage:
        """Of what workers hold: some runs of however many that wait."""
        keys = self._keys
        named = [where.worker.encode()] if where.worker else []
        workers = named or await self._client.command("ZRANGE", keys.workers(), 0, -1)
        if not workers:
            return RunPage([], None)
        held = await self._client.commands(*(("SMEMBERS", keys.worker_runs(worker.decode())) for worker in workers))
        # Ids rise with the time at which they were made. A worker may also hold a change of a thread's state.
        ids = sorted((run_id.decode() for runs in held for run_id in runs), reverse=True)
        ids = [run_id for run_id in ids if _CURSOR.fullmatch(f"0:0:{run_id}") and (not last or run_id < last)]
        found = [row for row in await self.rows(ids[:LOOKED_AT]) if _matches(row, where)]
        more = found[limit - 1].run_id if len(found) > limit else ids[LOOKED_AT - 1] if len(ids) > LOOKED_AT else None
        return RunPage(found[:limit], f"0:0:{more}" if more else None)

    async def rows(self, run_ids: Sequence[str]) -> list[RunRow]:
        """Those of some runs that there are."""
        now = await redis_time(self._client)
        found = [row for row in await self._rows(run_ids, now) if row]
        await self._tell_states(found, now)
        return found

    def _sources(self, where: RunFilter) -> list[str]:
        """The smallest indexes that have all matches."""
        keys = self._keys
        if where.thread is not None:
            return [keys.thread_runs(where.thread)]
        if where.status in _OPEN:
            return [keys.runs_open()]
        if where.error_class is not None or where.status in _FAILED:
            return [keys.runs_failed()]
        return [keys.runs_ended()] if where.status else [keys.runs_open(), keys.runs_ended()]

    async def _behind(self, key: str, score: str, last: str) -> list[tuple[str, str]]:
        """The next runs of an index and their scores, the newest first, behind a place."""
        rank = await self._client.command("ZREVRANK", key, last) if last else -1
        if rank is None:
            # It has moved since: go on with all that have its score, and so with none left out.
            command: tuple[Any, ...] = ("ZREVRANGEBYSCORE", key, score, "-inf", "WITHSCORES", "LIMIT", 0, _AT_ONCE)
        else:
            command = ("ZREVRANGE", key, rank + 1, rank + _AT_ONCE, "WITHSCORES")
        flat = await self._client.command(*command)
        return [(name.decode(), rank.decode()) for name, rank in zip(flat[::2], flat[1::2], strict=True)]

    async def _rows(self, ids: Sequence[str], now: int) -> list[RunRow | None]:
        answers = await self._client.commands(*(("HMGET", self._keys.run(i), *_FIELDS) for i in ids)) if ids else []
        return [_row(i, fields, now) for i, fields in zip(ids, answers, strict=True)]

    async def _tell_states(self, rows: list[RunRow], now: int) -> None:
        pending = [row for row in rows if row.status == "pending"]
        if not pending:
            return
        scores = await self._client.commands(*(("ZSCORE", self._keys.queue(row.queue), row.run_id) for row in pending))
        for row, score in zip(pending, scores, strict=True):
            row.state = "waiting" if score is None else "ready" if float(score) <= now else "delayed"


async def redis_time(client: Client) -> int:
    """Now, in ms, as all records have it."""
    seconds, microseconds = await client.command("TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000


async def trim_ended(client: Client) -> int:
    """Take out of the index, a bounded piece at a time, what ended too long ago or is beyond the number."""
    keys, settings = client.keys, client.settings
    oldest = await redis_time(client) - settings.lineshaft_ended_run_days * _DAY_MS
    trimmed = 0
    for key in (keys.runs_ended(), keys.runs_failed()):
        while True:
            count, old = await client.commands(("ZCARD", key), ("ZCOUNT", key, "-inf", oldest))
            extra = min(max(old, count - settings.lineshaft_ended_runs_listed), _TRIMMED_AT_ONCE)
            if extra <= 0:
                break
            trimmed += await client.command("ZREMRANGEBYRANK", key, 0, extra - 1)
    return trimmed


async def drop_forgotten(client: Client, index: str, run_ids: list[bytes]) -> int:
    """Take runs whose records have gone, as those of stateless runs do, out of an index of ended ones."""
    there = await client.commands(*(("EXISTS", client.keys.run(run_id.decode())) for run_id in run_ids))
    gone = [run_id for run_id, exists in zip(run_ids, there, strict=True) if not exists]
    return int(await client.command("ZREM", index, *gone)) if gone else 0


def _read(cursor: str) -> tuple[int, str, str]:
    if not cursor:
        return 0, "", ""
    if not (found := _CURSOR.fullmatch(cursor)):
        raise Invalid(f"{cursor!r} is no cursor: take `next` of the page before")
    return int(found[1]), found[2], found[3]


def _row(run_id: str, fields: list[bytes | None], now: int) -> RunRow | None:
    values = {name: value.decode() for name, value in zip(_FIELDS, fields, strict=True) if value is not None}
    if "status" not in values or "thread" not in values:
        return None
    status: Any = values["status"]
    made = int(float(values.get("made") or values.get("created") or 0))
    return RunRow(
        run_id=run_id,
        thread_id=values["thread"],
        graph_id=values.get("graph", ""),
        assistant_id=values.get("assistant", ""),
        queue=values.get("queue", ""),
        status=status,
        state="running" if status == "running" else "waiting" if status == "pending" else "ended",
        cancel=values.get("cancel", ""),
        error_class=values.get("error_class", "") if status in _FAILED else "",
        worker=values.get("worker", ""),
        attempt=int(values.get("attempt", 0)),
        crashes=int(values.get("crashes", 0)),
        is_dead="dead" in values,
        made_at=iso(made),
        due_at=iso(int(float(values.get("created", made)))),
        started_at=_time(values.get("started")),
        ended_at=_time(values.get("ended")),
        age=max(0, now - made) / 1000,
    )


def _time(text: str | None) -> str | None:
    return iso(int(float(text))) if text else None


def _matches(row: RunRow, where: RunFilter) -> bool:
    return (
        where.status in (None, row.status)
        and where.graph in (None, row.graph_id)
        and where.thread in (None, row.thread_id)
        and where.assistant in (None, row.assistant_id)
        and where.queue in (None, row.queue)
        and where.error_class in (None, row.error_class)
        and where.worker in (None, row.worker)
        and (where.older_than is None or row.age >= where.older_than)
        and (where.newer_than is None or row.age <= where.newer_than)
    )
