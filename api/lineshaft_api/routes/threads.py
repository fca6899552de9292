"""Threads: create, read, change, delete, find."""

from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.errors import Invalid
from lineshaft.ids import canonical
from lineshaft.thread_search import Filter, SortBy, ThreadSearch
from lineshaft.threads import Thread, ThreadStatus, ThreadStore, Ttl
from lineshaft_api.context import CLIENT
from lineshaft_api.operation import Operation, Reply, ThreadId, operation
from lineshaft_api.paging import Limit, Offset, paged

_TAGS = ("Threads",)
_Metadata = Annotated[dict[str, Any], Meta(examples=[{"user_id": "user_123"}])]
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


class ThreadCreate(Struct, kw_only=True):
    """A thread to create."""

    thread_id: Annotated[str, Meta(description="A UUID; by default a new one.")] | UnsetType = UNSET
    metadata: _Metadata = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: Ttl | UnsetType = UNSET
    supersteps: Annotated[list[dict[str, Any]], Meta(description="Not supported yet.")] = []


class ThreadPatch(Struct, kw_only=True):
    """What to change of a thread."""

    metadata: Annotated[dict[str, Any], Meta(description="Merged over the thread's, key by key.")] = {}
    ttl: Ttl | UnsetType = UNSET


class ThreadSearchRequest(Struct, kw_only=True):
    """Which threads to find; all conditions must hold."""

    metadata: Annotated[dict[str, Any], Meta(description="What the thread's metadata must contain.")] = {}
    values: Annotated[dict[str, Any], Meta(description="Not supported yet.")] = {}
    status: ThreadStatus | UnsetType = UNSET
    ids: Annotated[list[str], Meta(description="Only among these; none means all.")] = []
    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | UnsetType = UNSET
    sort_order: Literal["asc", "desc"] = "desc"
    select: Annotated[list[_Field], Meta(description="Only these fields; none means all.")] = []
    extract: Annotated[dict[str, str], Meta(description="Not supported yet.")] = {}


class ThreadCountRequest(Struct, kw_only=True):
    """Which threads to count; all conditions must hold."""

    metadata: Annotated[dict[str, Any], Meta(description="What the thread's metadata must contain.")] = {}
    values: Annotated[dict[str, Any], Meta(description="Not supported yet.")] = {}
    status: ThreadStatus | UnsetType = UNSET


@operation("POST", "/threads", errors=(409,), tags=_TAGS)
async def create_thread(request: web.Request, body: ThreadCreate) -> Thread:
    """Create a thread."""
    _refuse("supersteps", body.supersteps)
    thread_id = None if body.thread_id is UNSET else canonical(body.thread_id, "thread")
    ttl = None if body.ttl is UNSET else body.ttl
    return await ThreadStore(request.app[CLIENT]).create(thread_id, body.metadata, if_exists=body.if_exists, ttl=ttl)


@operation("GET", "/threads/{thread_id}", errors=(404,), tags=_TAGS)
async def get_thread(request: web.Request, thread_id: ThreadId) -> Thread:
    """Read a thread, with the values that its last run left."""
    return await ThreadStore(request.app[CLIENT]).get(thread_id)


@operation("PATCH", "/threads/{thread_id}", also=(204,), errors=(404,), tags=_TAGS)
async def patch_thread(request: web.Request, thread_id: ThreadId, body: ThreadPatch) -> Reply[Thread]:
    """Change a thread's metadata.

    With the header `Prefer: return=minimal` the answer is an empty 204.
    """
    ttl = None if body.ttl is UNSET else body.ttl
    thread = await ThreadStore(request.app[CLIENT]).patch(thread_id, body.metadata, ttl=ttl)
    if request.headers.get("Prefer") == "return=minimal":
        return Reply(status=204)
    return Reply(thread)


@operation("DELETE", "/threads/{thread_id}", errors=(404,), tags=_TAGS)
async def delete_thread(request: web.Request, thread_id: ThreadId) -> None:
    """Delete a thread with its state and runs, also while one goes on."""
    await ThreadStore(request.app[CLIENT]).delete(thread_id)


@operation("POST", "/threads/search", tags=_TAGS)
async def search_threads(request: web.Request, body: ThreadSearchRequest) -> Reply[list[Thread]]:
    """Find threads, the one that changed last first.

    The header `X-Pagination-Next` is the offset of the next page, if there is one.
    """
    _refuse("values", body.values)
    _refuse("extract", body.extract)
    where = Filter(
        metadata=body.metadata,
        status=None if body.status is UNSET else body.status,
        ids=[canonical(thread_id, "thread") for thread_id in body.ids],
    )
    found = await ThreadSearch(request.app[CLIENT]).search(
        where,
        limit=body.limit,
        offset=body.offset,
        sort_by="updated_at" if body.sort_by is UNSET else body.sort_by,
        descending=body.sort_by is UNSET or body.sort_order == "desc",
        with_state=not body.select or not _STATE_FIELDS.isdisjoint(body.select),
    )
    return paged(found, body.select)


@operation("POST", "/threads/count", tags=_TAGS)
async def count_threads(request: web.Request, body: ThreadCountRequest) -> int:
    """Count threads."""
    _refuse("values", body.values)
    where = Filter(metadata=body.metadata, status=None if body.status is UNSET else body.status)
    return await ThreadSearch(request.app[CLIENT]).count(where)


def _refuse(name: str, value: object) -> None:
    if value:
        raise Invalid(f"Request body: {name} is not supported yet")


OPERATIONS: list[Operation] = [
    create_thread,
    search_threads,
    count_threads,
    get_thread,
    patch_thread,
    delete_thread,
]
