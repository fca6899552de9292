"""Crons: create, read, change, delete, find."""

from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.crons.cron import CronFilter, CronStore, SortBy
from lineshaft.crons.record import Cron
from lineshaft.crons.request import CronCreate, CronPatch
from lineshaft.ids import canonical
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.caller import CALLER
from lineshaft_api.auth.running import check_runnable
from lineshaft_api.auth.sight import authorize, check_thread
from lineshaft_api.context import CLIENT
from lineshaft_api.decode import plain
from lineshaft_api.operation import CronId, Operation, Reply, ThreadId, operation
from lineshaft_api.paging import Limit, Offset, paged

_TAGS = ("Crons",)
_Field = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
]


class CronCount(Struct, kw_only=True):
    """Which crons to count; all conditions must hold."""

    assistant_id: Annotated[str, Meta(description="A UUID.")] | UnsetType = UNSET
    thread_id: Annotated[str, Meta(description="A UUID.")] | UnsetType = UNSET
    metadata: Annotated[dict[str, Any], Meta(description="What the cron's metadata must contain.")] = {}

    def where(self) -> CronFilter:
        """Raises Invalid."""
        return CronFilter(
            assistant_id=None if self.assistant_id is UNSET else canonical(self.assistant_id, "assistant"),
            thread_id=None if self.thread_id is UNSET else canonical(self.thread_id, "thread"),
            metadata=self.metadata,
        )


class CronSearch(CronCount, kw_only=True):
    """Which crons to find; all conditions must hold."""

    enabled: bool | UnsetType = UNSET
    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | UnsetType = UNSET
    sort_order: Literal["asc", "desc"] = "desc"
    select: Annotated[list[_Field], Meta(description="Only these fields; none means all.")] = []


@operation("POST", "/threads/{thread_id}/runs/crons", errors=(400, 404, 429, 503), tags=_TAGS, access=ITSELF)
async def create_thread_cron(request: web.Request, thread_id: ThreadId, body: CronCreate) -> Cron:
    """Create a cron whose runs go on one thread; it is deleted with the thread."""
    await check_thread(request, thread_id, "read")
    return await _create(request, thread_id, body)


@operation("POST", "/runs/crons", errors=(400, 404, 503), tags=_TAGS, access=ITSELF)
async def create_cron(request: web.Request, body: CronCreate) -> Cron:
    """Create a cron whose runs get a thread each.

    The thread is dropped when its run ends, unless `on_run_completed` is `keep`.
    """
    return await _create(request, None, body)


@operation("GET", "/runs/crons/{cron_id}", errors=(404,), tags=_TAGS)
async def get_cron(request: web.Request, cron_id: CronId) -> Cron:
    """Read a cron."""
    return await CronStore(request.app[CLIENT]).get(cron_id)


@operation("PATCH", "/runs/crons/{cron_id}", errors=(400, 404, 503), tags=_TAGS)
async def patch_cron(request: web.Request, cron_id: CronId, body: CronPatch) -> Cron:
    """Change a cron.

    Its next time is only found anew if its schedule or time zone changes, or if it has passed while it was disabled.
    """
    return await CronStore(request.app[CLIENT]).patch(cron_id, body, await _document(request, body))


@operation("DELETE", "/runs/crons/{cron_id}", errors=(404,), tags=_TAGS)
async def delete_cron(request: web.Request, cron_id: CronId) -> None:
    """Delete a cron. Runs that it has started go on."""
    await CronStore(request.app[CLIENT]).delete(cron_id)


@operation("POST", "/runs/crons/search", tags=_TAGS)
async def search_crons(request: web.Request, body: CronSearch) -> Reply[list[Cron]]:
    """Find crons, the newest first.

    The header `X-Pagination-Next` is the offset of the next page, if there is one.
    """
    where = body.where()
    where.enabled = None if body.enabled is UNSET else body.enabled
    found = await CronStore(request.app[CLIENT]).search(
        where,
        limit=body.limit,
        offset=body.offset,
        sort_by="created_at" if body.sort_by is UNSET else body.sort_by,
        descending=body.sort_by is UNSET or body.sort_order == "desc",
        with_payload=not body.select or "payload" in body.select,
    )
    return paged(found, body.select)


@operation("POST", "/runs/crons/count", tags=_TAGS)
async def count_crons(request: web.Request, body: CronCount) -> int:
    """Count crons."""
    return await CronStore(request.app[CLIENT]).count(body.where())


async def _create(request: web.Request, thread_id: str | None, body: CronCreate) -> Cron:
    """Its runs are started for whoever makes it, and as they are known now."""
    metadata = {} if body.metadata is UNSET else body.metadata
    asked = {"payload": await _document(request, body), "schedule": body.schedule, "metadata": {**metadata}}
    await authorize(request, "crons", "create", asked)
    if asked["metadata"] != metadata:
        body.metadata = asked["metadata"]  # type: ignore[assignment]  # as it was given, or as a handler made it
    await check_runnable(request, body.assistant_id)
    user = request[CALLER].run_user
    return await CronStore(request.app[CLIENT]).create(thread_id, body, await _document(request, body), user)


async def _document(request: web.Request, body: CronCreate | CronPatch) -> dict[str, Any]:
    """The body once more, which was found sound, with what its type does not know: that is kept too."""
    document: dict[str, Any] = plain(await request.read())
    if body.config is not UNSET and body.config.recursion_limit is not UNSET:
        document["config"]["recursion_limit"] = body.config.recursion_limit  # 1.0 counts as an integer
    if body.metadata is not UNSET:
        document["metadata"] = body.metadata  # authorization may have changed it
    return document


OPERATIONS: list[Operation] = [
    create_thread_cron,
    create_cron,
    search_crons,
    count_crons,
    get_cron,
    patch_cron,
    delete_cron,
]
