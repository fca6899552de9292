"""Assistants: create, read, change, delete, find."""

import contextlib
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.assistants.assistant import Assistant, AssistantFilter, AssistantStore, SortBy
from lineshaft.assistants.document import AssistantChanges, AssistantDoc, check_settings
from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.errors import NotFound
from lineshaft.ids import canonical
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel_of_assistant
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.thread import ThreadStore
from lineshaft_api.auth.guard import FOUND
from lineshaft_api.auth.sight import restricted
from lineshaft_api.context import CLIENT
from lineshaft_api.operation import AssistantId, Operation, Reply, operation
from lineshaft_api.paging import Limit, Offset, paged

_TAGS = ("Assistants",)
_Field = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]
_Name = Annotated[str, Meta(description="A part of the name, in any case.")]
_Contained = Annotated[dict[str, Any], Meta(description="What the assistant's metadata must contain.")]


class AssistantSettings(Struct, kw_only=True):
    """What an assistant is."""

    graph_id: Annotated[str, Meta(examples=["chat"])]
    name: str = "Untitled"
    metadata: dict[str, Any] = {}
    config: dict[str, Any] = {}
    context: Annotated[dict[str, Any], Meta(description="In place of config.configurable, not beside it.")] = {}


class AssistantCreate(AssistantSettings, kw_only=True):
    """An assistant to create."""

    assistant_id: Annotated[str, Meta(description="A UUID; by default a new one.")] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    if_exists: Literal["raise", "do_nothing"] = "raise"


class AssistantPut(AssistantSettings, kw_only=True):
    """What an assistant is to be, as a whole; what was read of one can be put again."""

    description: str | None = None


class AssistantPatch(Struct, kw_only=True):
    """What to change of an assistant."""

    graph_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: Annotated[dict[str, Any], Meta(description="Merged over the assistant's, key by key.")] | UnsetType = (
        UNSET
    )
    config: Annotated[dict[str, Any], Meta(description="Replaces the assistant's unless it is empty.")] | UnsetType = (
        UNSET
    )
    context: Annotated[dict[str, Any], Meta(description="Replaces config and context.")] | UnsetType = UNSET


class AssistantDeleteQuery(Struct, kw_only=True):
    """What goes with an assistant."""

    delete_threads: Annotated[bool, Meta(description="Delete the threads whose last run was the assistant's, too.")] = (
        False
    )


class AssistantSearchRequest(Struct, kw_only=True):
    """Which assistants to find; all conditions must hold."""

    metadata: _Contained = {}
    graph_id: str | UnsetType = UNSET
    name: _Name | UnsetType = UNSET
    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | UnsetType = UNSET
    sort_order: Literal["asc", "desc"] = "desc"
    select: Annotated[list[_Field], Meta(description="Only these fields; none means all.")] = []


class AssistantCountRequest(Struct, kw_only=True):
    """Which assistants to count; all conditions must hold."""

    metadata: _Contained = {}
    graph_id: str | UnsetType = UNSET
    name: _Name | UnsetType = UNSET


class AssistantListQuery(Struct, kw_only=True):
    """Which assistants to list, and in which order."""

    graph_id: str | UnsetType = UNSET
    name: _Name | UnsetType = UNSET
    limit: Limit = 10
    offset: Offset = 0
    sort_by: SortBy | UnsetType = UNSET
    sort_order: Literal["asc", "desc"] = "desc"


@operation("POST", "/assistants", errors=(400, 404, 409), tags=_TAGS)
async def create_assistant(request: web.Request, body: AssistantCreate) -> Assistant:
    """Create an assistant of a graph."""
    client = request.app[CLIENT]
    assistant_id = None if body.assistant_id is UNSET else canonical(body.assistant_id, "assistant")
    check_settings(body.config, body.context)
    await _must_know(client, body.graph_id)
    return await AssistantStore(client).create(_doc(body), assistant_id, if_exists=body.if_exists)


@operation("GET", "/assistants", errors=(404,), tags=_TAGS)
async def list_assistants(request: web.Request, query: AssistantListQuery) -> Reply[list[Assistant]]:
    """List assistants, newest first."""
    return await _page(request.app[CLIENT], query, request.get(FOUND, {}), ())


@operation("GET", "/assistants/{assistant_id}", errors=(404,), tags=_TAGS)
async def get_assistant(request: web.Request, assistant_id: AssistantId) -> Assistant:
    """Read an assistant."""
    return await AssistantStore(request.app[CLIENT]).get(assistant_id)


@operation("PATCH", "/assistants/{assistant_id}", errors=(400, 404), tags=_TAGS)
async def patch_assistant(request: web.Request, assistant_id: AssistantId, body: AssistantPatch) -> Assistant:
    """Change an assistant: every call makes a new version, which is the current one from then on."""
    client = request.app[CLIENT]
    check_settings({} if body.config is UNSET else body.config, {} if body.context is UNSET else body.context)
    if body.graph_id is not UNSET:
        await _must_know(client, body.graph_id)
    changes = AssistantChanges(
        graph_id=body.graph_id,
        name=body.name,
        description=body.description,
        metadata=body.metadata,
        config=body.config,
        context=body.context,
    )
    return await AssistantStore(client).change(assistant_id, changes)


@operation("PUT", "/assistants/{assistant_id}", errors=(400, 404), tags=_TAGS)
async def put_assistant(request: web.Request, assistant_id: AssistantId, body: AssistantPut) -> Assistant:
    """Replace an assistant as a whole by a new version: what the request leaves out gets its default."""
    client = request.app[CLIENT]
    check_settings(body.config, body.context)
    await _must_know(client, body.graph_id)
    return await AssistantStore(client).replace(assistant_id, _doc(body))


@operation("DELETE", "/assistants/{assistant_id}", errors=(404,), tags=_TAGS)
async def delete_assistant(request: web.Request, assistant_id: AssistantId, query: AssistantDeleteQuery) -> None:
    """Delete an assistant with its versions and crons; its runs on threads are cancelled, its threads stay."""
    client = request.app[CLIENT]
    await AssistantStore(client).get(assistant_id)
    its = {"assistant_id": assistant_id}
    threads = Filter(metadata=its)
    if query.delete_threads:
        threads.metadata = await restricted(request, "threads", its, "delete")
        # Before the assistant: who is cut off here can ask again, and find the assistant still there.
        await _delete_threads(client, threads)
    await AssistantStore(client).delete(assistant_id)
    busy = await ThreadSearch(client).every(Filter(metadata=its, status="busy"))
    await cancel_of_assistant(client, assistant_id, busy, "its assistant was deleted")
    if query.delete_threads:
        await _delete_threads(client, threads)  # those that came meanwhile


@operation("POST", "/assistants/search", errors=(404,), tags=_TAGS)
async def search_assistants(request: web.Request, body: AssistantSearchRequest) -> Reply[list[Assistant]]:
    """Find assistants, newest first.

    The header `X-Pagination-Next` is the offset of the next page, if there is one.
    """
    return await _page(request.app[CLIENT], body, body.metadata, tuple(body.select))


@operation("POST", "/assistants/count", errors=(404,), tags=_TAGS)
async def count_assistants(request: web.Request, body: AssistantCountRequest) -> int:
    """Count assistants."""
    client = request.app[CLIENT]
    return await AssistantStore(client).count(await _filter(client, body, body.metadata))


def _doc(body: AssistantCreate | AssistantPut) -> AssistantDoc:
    return AssistantDoc(
        graph_id=body.graph_id,
        name=body.name,
        description=None if body.description is UNSET else body.description,
        metadata=body.metadata,
        config=body.config,
        context=body.context,
    )


async def _delete_threads(client: Client, where: Filter) -> None:
    for thread_id in await ThreadSearch(client).every(where):
        with contextlib.suppress(NotFound):  # somebody else has, meanwhile
            await ThreadStore(client).delete(thread_id)


async def _page(
    client: Client,
    asked: AssistantSearchRequest | AssistantListQuery,
    metadata: dict[str, Any],
    select: tuple[str, ...],
) -> Reply[list[Assistant]]:
    found = await AssistantStore(client).search(
        await _filter(client, asked, metadata),
        limit=asked.limit,
        offset=asked.offset,
        sort_by="created_at" if asked.sort_by is UNSET else asked.sort_by,
        descending=asked.sort_by is UNSET or asked.sort_order == "desc",
    )
    return paged(found, select)


async def _filter(
    client: Client,
    asked: AssistantSearchRequest | AssistantCountRequest | AssistantListQuery,
    metadata: dict[str, Any],
) -> AssistantFilter:
    if asked.graph_id is not UNSET:
        await _must_know(client, asked.graph_id)
    return AssistantFilter(
        metadata=metadata,
        graph_id=None if asked.graph_id is UNSET else asked.graph_id,
        name=None if asked.name is UNSET else asked.name,
    )


async def _must_know(client: Client, graph_id: str) -> None:
    graphs = GraphRegistry(client)
    if await graphs.get(graph_id) is None:
        known = ", ".join(graph.graph_id for graph in await graphs.list()) or "none"
        raise NotFound(f"Graph {graph_id!r} not found. Known graphs: {known}")


OPERATIONS: list[Operation] = [
    create_assistant,
    list_assistants,
    search_assistants,
    count_assistants,
    get_assistant,
    patch_assistant,
    put_assistant,
    delete_assistant,
]
