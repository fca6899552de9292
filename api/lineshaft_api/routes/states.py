"""The state of a thread: read, read at a checkpoint, its history, and changed from outside a run."""

from typing import Annotated, Any

from aiohttp import web
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.errors import BadRequest, Invalid, NotFound
from lineshaft.runs.request import Checkpoint
from lineshaft.threads.state import EMPTY_STATE, empty_state, stored_state
from lineshaft_api.context import CLIENT, QUERIES
from lineshaft_api.operation import Operation, ThreadId, operation

_TAGS = ("Thread state",)


class StateQueryParameters(Struct):
    """Whether to show the states of subgraphs too."""

    subgraphs: str = ""

    @property
    def wanted(self) -> bool:
        """The reference knows these two spellings, and `1` is none of them."""
        return self.subgraphs in ("true", "True")


class StateAt(Struct):
    """Which checkpoint's state to read; an empty object names the newest."""

    checkpoint: Checkpoint
    subgraphs: bool = False


class StateUpdate(Struct, omit_defaults=True):
    """Values to write as if the node `as_node` had returned them."""

    values: dict[str, Any] | list[Any] | None = None
    as_node: str | UnsetType = UNSET
    checkpoint: Checkpoint | UnsetType = UNSET
    checkpoint_id: str | UnsetType = UNSET


class HistoryQuery(Struct):
    """A page of a thread's history, newest first."""

    limit: int = 1
    before: str = ""


class HistorySearch(Struct):
    """A page of a thread's history, or of a subgraph's; `before` is a checkpoint id, a checkpoint or a config."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 1
    before: str | dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    checkpoint: Checkpoint | UnsetType = UNSET


@operation("GET", "/threads/{thread_id}/state", errors=(404, 503), tags=_TAGS)
async def get_state(request: web.Request, thread_id: ThreadId, query: StateQueryParameters) -> Raw:
    """Read a thread's present state, also while a run goes on."""
    found = await stored_state(request.app[CLIENT], thread_id)
    if found.is_empty:
        await _check_graph(request, found.graph_id)
        return Raw(EMPTY_STATE)
    if found.state is not None and not query.wanted:
        return Raw(found.state)
    return await request.app[QUERIES].ask("state", thread_id, _graph(found.graph_id), subgraphs=query.wanted)


@operation("GET", "/threads/{thread_id}/state/{checkpoint_id}", errors=(404, 503), tags=_TAGS)
async def get_state_at(
    request: web.Request, thread_id: ThreadId, checkpoint_id: str, query: StateQueryParameters
) -> Raw:
    """Read a thread's state at a checkpoint; one that is not there has an empty state."""
    return await _state_at(request, thread_id, Checkpoint(checkpoint_id=checkpoint_id), subgraphs=query.wanted)


@operation("POST", "/threads/{thread_id}/state/checkpoint", errors=(404, 503), tags=_TAGS, scope="read")
async def read_state_at(request: web.Request, thread_id: ThreadId, body: StateAt) -> Raw:
    """Read a thread's state, or a subgraph's, at a checkpoint."""
    return await _state_at(request, thread_id, body.checkpoint, subgraphs=body.subgraphs)


async def _state_at(request: web.Request, thread_id: str, checkpoint: Checkpoint, *, subgraphs: bool) -> Raw:
    found = await stored_state(request.app[CLIENT], thread_id)
    if found.is_empty:
        await _check_graph(request, found.graph_id)
        return Raw(empty_state(thread_id, _fields(checkpoint)))
    queries = request.app[QUERIES]
    return await queries.ask(
        "state", thread_id, _graph(found.graph_id), checkpoint=_fields(checkpoint), subgraphs=subgraphs
    )


@operation("POST", "/threads/{thread_id}/state", errors=(400, 404, 409, 503), tags=_TAGS)
async def update_state(request: web.Request, thread_id: ThreadId, body: StateUpdate) -> Raw:
    """Write to a thread's state.

    The values pass the graph's reducers, and `as_node` decides what comes next. Refused while a run is active.
    """
    found = await stored_state(request.app[CLIENT], thread_id)
    checkpoint = _fields(body.checkpoint)
    if body.checkpoint_id is not UNSET:
        checkpoint["checkpoint_id"] = body.checkpoint_id
    as_node = None if body.as_node is UNSET else body.as_node
    return await request.app[QUERIES].ask(
        "update", thread_id, _graph(found.graph_id), values=body.values, as_node=as_node, checkpoint=checkpoint
    )


@operation("GET", "/threads/{thread_id}/history", errors=(404, 413, 503), tags=_TAGS)
async def get_history(request: web.Request, thread_id: ThreadId, query: HistoryQuery) -> Raw:
    """List a thread's past states, newest first."""
    return await _history(request, thread_id, limit=query.limit, before=query.before or None)


@operation("POST", "/threads/{thread_id}/history", errors=(404, 503), tags=_TAGS, scope="read")
async def search_history(request: web.Request, thread_id: ThreadId, body: HistorySearch) -> Raw:
    """List a thread's past states that match, newest first."""
    metadata = None if body.metadata is UNSET else body.metadata
    return await _history(
        request, thread_id, limit=body.limit, before=_before(body.before), metadata=metadata,
        checkpoint=_fields(body.checkpoint),
    )  # fmt: skip


async def _history(request: web.Request, thread_id: str, *, limit: int, **args: Any) -> Raw:
    found = await stored_state(request.app[CLIENT], thread_id)
    if found.is_empty or found.graph_id is None or limit <= 0:
        return Raw(b"[]")
    return await request.app[QUERIES].ask("history", thread_id, found.graph_id, limit=limit, **args)


async def _check_graph(request: web.Request, graph_id: str | None) -> None:
    """Raises NotFound for a graph that no worker has: the thread's metadata may name anything."""
    if graph_id is not None and await GraphRegistry(request.app[CLIENT]).get(graph_id) is None:
        raise NotFound(f"Graph {graph_id!r} not found")


def _graph(graph_id: str | None) -> str:
    if graph_id is None:
        raise BadRequest(
            "Thread has no assigned graph ID: run an assistant on it, or give it a graph_id in its metadata"
        )
    return graph_id


def _fields(checkpoint: Checkpoint | UnsetType) -> dict[str, Any]:
    if checkpoint is UNSET:
        return {}
    names = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
    return {name: value for name in names if (value := getattr(checkpoint, name)) is not None}


def _before(value: str | dict[str, Any] | UnsetType) -> str | None:
    """A checkpoint id, given as such, as a checkpoint, or as a config."""
    if value is UNSET:
        return None
    if isinstance(value, str):
        return value
    place = value.get("configurable", value)
    named = place.get("checkpoint_id") if isinstance(place, dict) else None
    if not isinstance(named, str):
        raise Invalid("Request body: `before` names no checkpoint_id - at `$.before`")
    return named


OPERATIONS: list[Operation] = [
    get_state,
    get_state_at,
    read_state_at,
    update_state,
    get_history,
    search_history,
]
