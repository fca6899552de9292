"""Finding threads: by the indexes that the scripts keep, and by a look at what no index knows."""

from collections.abc import AsyncIterator
from typing import Any, Literal, get_args

from msgspec import Struct

from lineshaft.redis.client import Client
from lineshaft.search import PARTIAL, Page, contains, filter_leaves, page

from .record import ThreadRecord, ThreadStatus
from .thread import Thread, ThreadStore
from .values import ValuesFilter

SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]
# Records (some hundred bytes) read in one round trip, and ids asked for in one step of a walk.
_STEP = 1000
# Metadata (up to 160 KiB) compared between two chances for other requests of this gateway.
_COMPARED_AT_ONCE = 200


class Filter(Struct, kw_only=True):
    """Which threads: all conditions must hold."""

    metadata: dict[str, Any] = {}
    values: dict[str, Any] = {}  # no index has them: a search looks into a bounded number of states
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
        """A page of the threads that match. Without state (values, interrupts, error) it reads far less.

        Raises Invalid if too many states would have to be looked into, TooLarge if the page has too much of them.
        """
        ids: list[str] = []
        async for batch in self._matches(where, sort_by, descending, skip=offset, enough=limit + 1):
            ids += batch
            if len(ids) > limit:
                break
        found = page(ids[: limit + 1], limit, offset)
        threads = await self._store.read(found.rows, with_state=with_state)
        return Page([thread for thread in threads if thread is not None], found.next, found.total)

    async def count(self, where: Filter) -> int:
        """How many threads match. Raises Invalid if too many states would have to be looked into."""
        leaves, complete = filter_leaves(where.metadata)
        if complete and not where.ids and not where.values:
            total = int(await self._client.script("thread_count", status=where.status, leaves=leaves))
            if total >= 0:  # else too many for a single script
                return total
        return sum([len(batch) async for batch in self._matches(where, "created_at", False, skip=0, enough=_STEP)])

    async def every(self, where: Filter) -> list[str]:
        """The ids of all threads that match, in no order: none that is there all the time is missing.

        A search by pages may miss one when others are deleted meanwhile, since it counts places. Not for values: they
        are looked into up to a limit only.
        """
        if where.values:
            raise TypeError("all threads with certain values cannot be found")
        keys, leaves = self._client.keys, filter_leaves(where.metadata)[0]
        if where.ids:
            return await self._matches_among(where, "thread_id", False)
        if leaves:
            sizes = await self._client.commands(*(("SCARD", keys.threads_with(leaf)) for leaf in leaves))
            (_, leaf) = min(zip(sizes, leaves, strict=True))
            sources = [("SSCAN", keys.threads_with(leaf)), ("SSCAN", keys.threads_with(PARTIAL))]
        elif where.status:
            sources = [("SSCAN", keys.threads_with_status(where.status))]
        else:
            sources = [("ZSCAN", keys.threads_by_id())]
        found: set[str] = set()
        for command, key in sources:
            cursor = b"0"
            while True:
                cursor, page = await self._client.command(command, key, cursor, "COUNT", _STEP)
                ids = [member.decode() for member in (page[::2] if command == "ZSCAN" else page)]
                among = Filter(metadata=where.metadata, status=where.status, ids=ids)
                found.update(await self._matches_among(among, "thread_id", False) if ids else ())
                if cursor == b"0":
                    break
        return list(found)

    async def _matches(
        self, where: Filter, sort_by: SortBy, descending: bool, *, skip: int, enough: int
    ) -> AsyncIterator[list[str]]:
        """The ids of matching threads in batches, in order, less the first `skip`; the caller needs `enough`."""
        values = ValuesFilter(self._client, where.values)
        if where.ids:
            yield (await values.matching(await self._matches_among(where, sort_by, descending)))[skip:]
            return
        leaves, complete = filter_leaves(where.metadata)
        ahead = 0
        if complete and not where.values and not leaves and where.status is None and sort_by != "status":
            ahead, skip = skip, 0
        at_once = skip + enough if complete else max(_STEP, skip + enough)
        if where.values:
            at_once = _STEP  # how many match is not known, so no more are taken than are looked into at once
        async for batch in self._walk(leaves, where.status, sort_by, descending, at_once=at_once, ahead=ahead):
            unsure = [thread_id for thread_id, sure in batch if not (sure and complete)]
            wrong = await self._not_containing(unsure, where.metadata)
            ids = await values.matching([thread_id for thread_id, _ in batch if thread_id not in wrong])
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
                    rows.append((_sort_key(thread_id, record, sort_by, descending), thread_id))
        return [thread_id for _, thread_id in sorted(rows, reverse=descending)]

    async def _not_containing(self, ids: list[str], metadata: dict[str, Any]) -> set[str]:
        wrong: set[str] = set()
        for start in range(0, len(ids), _COMPARED_AT_ONCE):
            part = ids[start : start + _COMPARED_AT_ONCE]
            for thread_id, found in zip(part, await self._store.metadata(part), strict=True):
                if found is None or not contains(found, metadata):
                    wrong.add(thread_id)
        return wrong


def _sort_key(thread_id: str, record: ThreadRecord, sort_by: SortBy, descending: bool) -> Any:
    keys = {
        "thread_id": thread_id,
        "status": (record.shown, record.updated if descending else -record.updated),  # newest first, as in the indexes
        "created_at": record.created,
        "updated_at": record.updated,
        "state_updated_at": record.state_updated,
    }
    return keys[sort_by]
