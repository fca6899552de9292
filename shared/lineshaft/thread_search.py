"""Finding threads: by the indexes that the scripts keep, and by a look at what no index knows."""

from collections.abc import AsyncIterator
from typing import Any, Literal, get_args

from msgspec import Struct

from .redis import Client
from .search import Page, contains, filter_leaves, page
from .threads import Thread, ThreadRecord, ThreadStatus, ThreadStore

SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]
# Threads read in one round trip: each may bring megabytes of values.
_READ_AT_ONCE = 100
# Records (some hundred bytes) read in one round trip, and ids asked for in one step of a walk.
_STEP = 1000


class Filter(Struct, kw_only=True):
    """Which threads: all conditions must hold."""

    metadata: dict[str, Any] = {}
    status: ThreadStatus | None = None
    ids: list[str] = []  # none: all threads


class ThreadSearch:
    """Searches and counts threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._store = ThreadStore(client)

    async def search(
        self,
        where: Filter,
        *,
        limit: int = 10,
        offset: int = 0,
        sort_by: SortBy = "updated_at",
        descending: bool = True,
        with_state: bool = True,
    ) -> Page[Thread]:
        """A page of the threads that match. Without state (values, interrupts, error) it reads far less."""
        ids: list[str] = []
        async for batch in self._matches(where, sort_by, descending, skip=offset, enough=limit + 1):
            ids += batch
            if len(ids) > limit:
                break
        found = page(ids[: limit + 1], limit, offset)
        rows: list[Thread] = []
        for start in range(0, len(found.rows), _READ_AT_ONCE):
            threads = await self._store.read(found.rows[start : start + _READ_AT_ONCE], with_state=with_state)
            rows += [thread for thread in threads if thread is not None]
        return Page(rows, found.next, found.total)

    async def count(self, where: Filter) -> int:
        """How many threads match."""
        leaves, complete = filter_leaves(where.metadata)
        if complete and not where.ids:
            total = int(await self._client.script("thread_count", status=where.status, leaves=leaves))
            if total >= 0:  # else too many for a single script
                return total
        return sum([len(batch) async for batch in self._matches(where, "created_at", False, skip=0, enough=_STEP)])

    async def _matches(
        self, where: Filter, sort_by: SortBy, descending: bool, *, skip: int, enough: int
    ) -> AsyncIterator[list[str]]:
        """The ids of matching threads in batches, in order, less the first `skip`; the caller needs `enough`."""
        if where.ids:
            yield (await self._matches_among(where, sort_by, descending))[skip:]
            return
        leaves, complete = filter_leaves(where.metadata)
        ahead = 0
        if complete and not leaves and where.status is None and sort_by != "status":
            ahead, skip = skip, 0
        at_once = skip + enough if complete else max(_STEP, skip + enough)
        async for batch in self._walk(leaves, where.status, sort_by, descending, at_once=at_once, ahead=ahead):
            unsure = [thread_id for thread_id, sure in batch if not (sure and complete)]
            wrong = await self._not_containing(unsure, where.metadata)
            ids = [thread_id for thread_id, _ in batch if thread_id not in wrong]
            yield ids[skip:]
            skip = max(0, skip - len(ids))

    async def _walk(
        self,
        leaves: list[str],
        status: ThreadStatus | None,
        sort_by: SortBy,
        descending: bool,
        *,
        at_once: int,
        ahead: int = 0,
    ) -> AsyncIterator[list[tuple[str, bool]]]:
        """What the indexes find: ids in batches, in order; with each, whether its metadata was indexed completely.

        Threads of one status come newest first. Without leaves and status the walk may start `ahead` in the order.
        """
        if sort_by == "status":
            for one in (status,) if status else sorted(get_args(ThreadStatus), reverse=descending):
                async for batch in self._walk(leaves, one, "updated_at", True, at_once=at_once):
                    yield batch
            return
        cursor = f"w{ahead}" if ahead else ""
        seen: set[str] = set()  # a thread that moves while we walk can come twice
        while True:
            answer = await self._client.script(
                "thread_search",
                order=sort_by,
                descending=descending,
                cursor=cursor,
                want=at_once,
                status=status,
                leaves=leaves,
            )
            cursor, *found = (part.decode() for part in answer)
            batch = [(text.removeprefix("?"), not text.startswith("?")) for text in found]
            yield [(thread_id, sure) for thread_id, sure in batch if thread_id not in seen]
            seen.update(thread_id for thread_id, _ in batch)
            if not cursor:
                return

    async def _matches_among(self, where: Filter, sort_by: SortBy, descending: bool) -> list[str]:
        """The matching ones among `where.ids`: these are read and compared, no index is asked."""
        rows: list[tuple[Any, str]] = []
        ids = list(dict.fromkeys(where.ids))
        for start in range(0, len(ids), _STEP):
            part = ids[start : start + _STEP]
            for thread_id, record in zip(part, await self._store.records(part), strict=True):
                if record is None or where.status not in (None, record.shown):
                    continue
                if contains(record.metadata, where.metadata):
                    rows.append((_sort_key(thread_id, record, sort_by), thread_id))
        return [thread_id for _, thread_id in sorted(rows, reverse=descending)]

    async def _not_containing(self, ids: list[str], metadata: dict[str, Any]) -> set[str]:
        wrong: set[str] = set()
        for start in range(0, len(ids), _STEP):
            part = ids[start : start + _STEP]
            for thread_id, record in zip(part, await self._store.records(part), strict=True):
                if record is None or not contains(record.metadata, metadata):
                    wrong.add(thread_id)
        return wrong


def _sort_key(thread_id: str, record: ThreadRecord, sort_by: SortBy) -> Any:
    keys = {
        "thread_id": thread_id,
        "status": (record.shown, record.updated),
        "created_at": record.created,
        "updated_at": record.updated,
        "state_updated_at": record.state_updated,
    }
    return keys[sort_by]
