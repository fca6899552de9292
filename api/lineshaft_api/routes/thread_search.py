"""Threads: find and count them."""

from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.ids import canonical
from lineshaft.threads.extract import MAX_PATHS, Extract
from lineshaft.threads.record import ThreadStatus
from lineshaft.threads.search import Filter, SortBy, ThreadSearch
from lineshaft.threads.thread import Thread
from lineshaft_api.context import CLIENT
from lineshaft_api.operation import Operation, Reply, operation
from lineshaft_api.paging import Limit, Offset, paged

_TAGS = ("Threads",)
_Field = Literal[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "status",
    "values",
    "interrupts",
]
_STATE_FIELDS = {"values", "interrupts"}
# Read in pieces, so Redis is not held up; a client that has more of them asks again.
_Ids = Annotated[list[str], Meta(max_length=10_000, description="Only among these; none means all.")]


class ThreadSearchRequest(Struct, kw_only=True):
    """Which threads to find; all conditions must hold."""

    metadata: Annotated[dict[str, Any], Meta(description="What the thread's metadata must contain.")] = {}
    values: Annotated[dict[str, Any], Meta(description="What the thread's values must contain.")] = {}
    status: ThreadStatus | UnsetType = UNSET
    ids: _Ids = []
    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | UnsetType = UNSET
    sort_order: Literal["asc", "desc"] = "desc"
    select: Annotated[list[_Field], Meta(description="Only these fields; none means all.")] = []
    extract: Annotated[
        dict[str, str],
        Meta(
            max_length=MAX_PATHS,
            description="Alias to path, as `values.messages[-1].content`: found in the rows' `extracted`.",
            examples=[{"last": "values.messages[-1].content"}],
        ),
    ] = {}


class ThreadCountRequest(Struct, kw_only=True):
    """Which threads to count; all conditions must hold."""

    metadata: Annotated[dict[str, Any], Meta(description="What the thread's metadata must contain.")] = {}
    values: Annotated[dict[str, Any], Meta(description="What the thread's values must contain.")] = {}
    status: ThreadStatus | UnsetType = UNSET
    ids: _Ids = []


@operation("POST", "/threads/search", errors=(413,), tags=_TAGS)
async def search_threads(request: web.Request, body: ThreadSearchRequest) -> Reply[list[Thread]]:
    """Find threads, the one that changed last first.

    The header `X-Pagination-Next` is the offset of the next page, if there is one.
    """
    extract = Extract(body.extract)
    found = await ThreadSearch(request.app[CLIENT]).search(
        _filter(body),
        limit=body.limit,
        offset=body.offset,
        sort_by="updated_at" if body.sort_by is UNSET else body.sort_by,
        descending=body.sort_by is UNSET or body.sort_order == "desc",
        with_state=not body.select or not _STATE_FIELDS.isdisjoint(body.select) or extract.needs_state,
    )
    if body.extract:
        for thread in found.rows:
            thread.extracted = extract.of(thread)
    return paged(found, [*body.select, "extracted"] if body.select else ())


@operation("POST", "/threads/count", tags=_TAGS)
async def count_threads(request: web.Request, body: ThreadCountRequest) -> int:
    """Count threads."""
    return await ThreadSearch(request.app[CLIENT]).count(_filter(body))


def _filter(body: ThreadSearchRequest | ThreadCountRequest) -> Filter:
    return Filter(
        metadata=body.metadata,
        values=body.values,
        status=None if body.status is UNSET else body.status,
        ids=[canonical(thread_id, "thread") for thread_id in body.ids],
    )


OPERATIONS: list[Operation] = [search_threads, count_threads]
