"""Assistants: create, read, find."""

from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.assistants import Assistant, AssistantDoc, AssistantFilter, AssistantStore, SortBy
from lineshaft.errors import NotFound
from lineshaft.graphs import GraphRegistry
from lineshaft.ids import canonical
from lineshaft.redis import Client
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


class AssistantCreate(Struct, kw_only=True):
    """An assistant to create."""

    graph_id: Annotated[str, Meta(examples=["chat"])]
    assistant_id: Annotated[str, Meta(description="A UUID; by default a new one.")] | UnsetType = UNSET
    name: str = "Untitled"
    description: str | UnsetType = UNSET
    metadata: dict[str, Any] = {}
    config: dict[str, Any] = {}
    context: Annotated[dict[str, Any], Meta(description="In place of config.configurable, not beside it.")] = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"


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
    await _must_know(client, body.graph_id)
    doc = AssistantDoc(
        graph_id=body.graph_id,
        name=body.name,
        description=None if body.description is UNSET else body.description,
        metadata=body.metadata,
        config=body.config,
        context=body.context,
    )
    return await AssistantStore(client).create(doc, assistant_id, if_exists=body.if_exists)


@operation("GET", "/assistants", errors=(404,), tags=_TAGS)
async def list_assistants(request: web.Request, query: AssistantListQuery) -> Reply[list[Assistant]]:
    """List assistants, newest first."""
    return await _page(request.app[CLIENT], query, {}, ())


@operation("GET", "/assistants/{assistant_id}", errors=(404,), tags=_TAGS)
async def get_assistant(request: web.Request, assistant_id: AssistantId) -> Assistant:
    """Read an assistant."""
    return await AssistantStore(request.app[CLIENT]).get(assistant_id)


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
]
