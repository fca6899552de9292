"""Threads: create, read, change, copy, prune, delete."""

import contextlib
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.errors import BadRequest, Conflict, LineshaftError, NotFound
from lineshaft.ids import canonical
from lineshaft.redis.client import Client
from lineshaft.runs.request import accept_command
from lineshaft.threads import copies as thread_copies
from lineshaft.threads.storage import ThreadStorage, measure
from lineshaft.threads.thread import Thread, ThreadStore
from lineshaft.threads.ttl import Strategy, Ttl
from lineshaft_api.context import CLIENT, QUERIES
from lineshaft_api.operation import Operation, Reply, ThreadId, operation

_TAGS = ("Threads",)
_Metadata = Annotated[dict[str, Any], Meta(examples=[{"user_id": "user_123"}])]


class SuperstepUpdate(Struct, kw_only=True, omit_defaults=True):
    """What a node is taken to have written: values, or a command."""

    as_node: str
    values: Any = None
    command: dict[str, Any] | None = None


class Superstep(Struct, kw_only=True):
    """What is taken to have happened in one step of the graph."""

    updates: Annotated[list[SuperstepUpdate], Meta(min_length=1)]


class ThreadCreate(Struct, kw_only=True):
    """A thread to create."""

    thread_id: Annotated[str, Meta(description="A UUID; by default a new one.")] | UnsetType = UNSET
    metadata: _Metadata = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: Ttl | UnsetType = UNSET
    # Each makes a checkpoint, while everybody who would use the thread has to wait.
    supersteps: Annotated[list[Superstep], Meta(max_length=1000, description="States to begin with.")] = []


class ThreadPatch(Struct, kw_only=True):
    """What to change of a thread."""

    metadata: Annotated[dict[str, Any], Meta(description="Merged over the thread's, key by key.")] = {}
    ttl: Ttl | UnsetType = UNSET


@operation("POST", "/threads", errors=(400, 404, 409, 503), tags=_TAGS)
async def create_thread(request: web.Request, body: ThreadCreate) -> Thread:
    """Create a thread, empty or with the states that `supersteps` lead to.

    Supersteps are applied by the graph that `metadata.graph_id` names. If they cannot be, no thread is left.
    """
    client = request.app[CLIENT]
    thread_id = None if body.thread_id is UNSET else canonical(body.thread_id, "thread")
    ttl = None if body.ttl is UNSET else body.ttl
    graph_id = await _graph_of(client, body) if body.supersteps else ""
    store = ThreadStore(client)
    thread, is_new = await store.obtain(thread_id, body.metadata, if_exists=body.if_exists, ttl=ttl)
    if not body.supersteps or not is_new:
        return thread
    steps = [msgspec.to_builtins(step.updates) for step in body.supersteps]
    try:
        await request.app[QUERIES].ask("supersteps", thread.thread_id, graph_id, supersteps=steps)
    except Conflict:
        raise  # a run was faster: somebody uses the thread already
    except LineshaftError:
        with contextlib.suppress(NotFound):  # somebody else has, meanwhile
            await store.delete(thread.thread_id)
        raise
    return await store.get(thread.thread_id)


async def _graph_of(client: Client, body: ThreadCreate) -> str:
    """The graph that is to apply a request's supersteps, once these are known to be sound."""
    for update in (update for step in body.supersteps for update in step.updates):
        accept_command(update.command)
    graph_id = body.metadata.get("graph_id")
    if not graph_id:
        raise BadRequest("supersteps need a graph: give the thread a graph_id in its metadata")
    if not isinstance(graph_id, str) or await GraphRegistry(client).get(graph_id) is None:
        raise NotFound(f"Graph {graph_id!r} not found")
    return graph_id


class ThreadQuery(Struct, kw_only=True):
    """What to show beside a thread itself."""

    include: Annotated[str, Meta(description="Names with commas between; `ttl` is the one that there is.")] = ""


@operation("GET", "/threads/{thread_id}", errors=(404,), tags=_TAGS)
async def get_thread(request: web.Request, thread_id: ThreadId, query: ThreadQuery) -> Thread:
    """Read a thread, with the values that its last run left."""
    with_ttl = "ttl" in [name.strip() for name in query.include.split(",")]
    return await ThreadStore(request.app[CLIENT]).get(thread_id, with_ttl=with_ttl)


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


@operation("POST", "/threads/{thread_id}/copy", errors=(409, 503), tags=_TAGS)
async def copy_thread(request: web.Request, thread_id: ThreadId) -> Thread:
    """Make a new thread with another one's metadata, states and waiting messages, but without its runs.

    A thread that is not there is a 409.
    """
    client = request.app[CLIENT]
    return await ThreadStore(client).get(await thread_copies.copy_thread(client, thread_id))


class ThreadPrune(Struct, kw_only=True):
    """Which threads to prune, and how."""

    # Each takes scripts of its own, and the answer waits for all.
    thread_ids: Annotated[list[str], Meta(max_length=1000, description="Those that are not there are skipped.")]
    strategy: Annotated[Strategy, Meta(description="Delete the threads, or all but their latest states.")] = "delete"


class ThreadsPruned(Struct, kw_only=True):
    """What was pruned."""

    pruned_count: int


@operation("POST", "/threads/prune", errors=(409,), tags=_TAGS)
async def prune_threads(request: web.Request, body: ThreadPrune) -> ThreadsPruned:
    """Delete threads, or the history of threads.

    The history of a busy thread, or one whose latest state is built upon it (DeltaChannel), stays: 409, and the threads
    behind that one in the list are not pruned.
    """
    store, count = ThreadStore(request.app[CLIENT]), 0
    for thread_id in dict.fromkeys([canonical(thread_id, "thread") for thread_id in body.thread_ids]):
        with contextlib.suppress(NotFound):
            await (store.delete(thread_id) if body.strategy == "delete" else store.prune(thread_id))
            count += 1
    return ThreadsPruned(pruned_count=count)


@operation("GET", "/threads/{thread_id}/storage", errors=(404,), tags=_TAGS)
async def get_thread_storage(request: web.Request, thread_id: ThreadId) -> ThreadStorage:
    """Measure what the states of a thread take in Redis."""
    return await measure(request.app[CLIENT], thread_id)


OPERATIONS: list[Operation] = [
    create_thread,
    get_thread,
    patch_thread,
    delete_thread,
    copy_thread,
    prune_threads,
    get_thread_storage,
]
