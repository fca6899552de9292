"""Runs as records: create in the background, list, read, cancel, delete. Watching them is in `streams.py`."""

import contextlib
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.errors import Invalid, NotFound
from lineshaft.ids import canonical
from lineshaft.runs.cancellation import Action, Only, cancel, cancel_all, cancel_some
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import Run, RunStore
from lineshaft_api.auth import running, sight
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.context import CLIENT, HUB, QUERIES
from lineshaft_api.follow import follow
from lineshaft_api.operation import Operation, Reply, RunId, ThreadId, operation

_TAGS = ("Runs",)
_FIELDS = {field.encode_name for field in msgspec.structs.fields(Run)}


class RunListQuery(Struct):
    """Which runs of a thread to list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 10
    offset: Annotated[int, Meta(ge=0)] = 0
    status: str | None = None
    select: list[str] = []


class CancelQuery(Struct):
    """How to cancel. Any other action than `rollback` means `interrupt`."""

    wait: bool = False
    action: str = "interrupt"


class CancelMany(Struct):
    """Which runs to cancel: by their ids, or by their status over all threads."""

    thread_id: str | UnsetType = UNSET
    # As many as a thread keeps: none has more to cancel.
    run_ids: Annotated[list[str], Meta(max_length=1000)] | UnsetType = UNSET
    status: Literal["pending", "running", "all"] | UnsetType = UNSET


class CancelManyQuery(Struct):
    """How to cancel. Any other action than `rollback` means `interrupt`."""

    action: str = "interrupt"


@operation("POST", "/threads/{thread_id}/runs", errors=(400, 404, 409, 429, 503), tags=_TAGS, access=ITSELF)
async def create_run(request: web.Request, thread_id: ThreadId, body: RunCreate) -> Reply[Run]:
    """Create a run in the background.

    Answers at once; poll, join or stream it later.
    """
    created = await running.create_run(request, thread_id, body)
    run = created.run
    return Reply(run, {"Content-Location": f"/threads/{run.thread_id}/runs/{run.run_id}"})


@operation("POST", "/runs", errors=(400, 404, 429, 503), tags=("Stateless runs",), access=ITSELF)
async def create_stateless_run(request: web.Request, body: RunCreate) -> Reply[Run]:
    """Create a background run on a thread of its own.

    The thread is dropped when the run ends, unless `on_completion` is `keep`.
    """
    created = await running.create_run(request, None, body)
    return Reply(created.run, {"Content-Location": f"/runs/{created.run.run_id}"})


@operation("GET", "/threads/{thread_id}/runs", errors=(404, 413), tags=_TAGS)
async def list_runs(request: web.Request, thread_id: ThreadId, query: RunListQuery) -> list[Run]:
    """List a thread's runs, newest first."""
    if unknown := set(query.select) - _FIELDS:
        raise Invalid(f"Query: unknown field {min(unknown)!r} in select; there are {', '.join(sorted(_FIELDS))}")
    found: list[Any] = await RunStore(request.app[CLIENT]).page(
        thread_id, limit=query.limit, offset=query.offset, status=query.status
    )
    if query.select:
        return [{name: getattr(run, name) for name in query.select} for run in found]  # type: ignore[misc]  # fewer fields
    return found


@operation("GET", "/threads/{thread_id}/runs/{run_id}", errors=(404,), tags=_TAGS)
async def get_run(request: web.Request, thread_id: ThreadId, run_id: RunId) -> Run:
    """Read a run."""
    return await RunStore(request.app[CLIENT]).get(thread_id, run_id)


@operation("POST", "/threads/{thread_id}/runs/{run_id}/cancel", also=(202,), errors=(404,), tags=_TAGS)
async def cancel_run(
    request: web.Request, thread_id: ThreadId, run_id: RunId, query: CancelQuery
) -> Reply[dict[str, Any]]:
    """Cancel a pending or running run.

    `interrupt` keeps the steps that are done; `rollback` takes everything back that the run did, and the run itself.
    Answers 202 at once, or with `wait` 200 when the run has stopped.
    """
    client = request.app[CLIENT]
    action: Action = "rollback" if query.action == "rollback" else "interrupt"
    reason = f"{action} requested via POST /threads/{{thread_id}}/runs/{{run_id}}/cancel"
    runs = RunStore(client)
    if not query.wait:
        await cancel(client, thread_id, run_id, action, reason)
        return Reply(status=202)
    # The place in the log from before the cancel: its end comes after it.
    position = await runs.position(thread_id)
    if not await cancel(client, thread_id, run_id, action, reason):
        await _end_of(request, runs, thread_id, run_id, position)
    location = f"/threads/{thread_id}/runs/{run_id}"
    return Reply({}, {"Location": f"{location}/join", "Content-Location": location})


@operation("POST", "/runs/cancel", errors=(404,), tags=_TAGS, access=ITSELF)
async def cancel_runs(request: web.Request, body: CancelMany, query: CancelManyQuery) -> None:
    """Cancel several runs of a thread, or all that are pending, running, or either, of all threads.

    Ids that are unknown, or of runs that are over, are passed over; 404 if there was nothing to cancel.
    """
    client = request.app[CLIENT]
    action: Action = "rollback" if query.action == "rollback" else "interrupt"
    reason = f"{action} requested via POST /runs/cancel"
    by_ids = body.thread_id is not UNSET and body.run_ids is not UNSET
    if by_ids == (body.status is not UNSET) or (not by_ids and (body.thread_id, body.run_ids) != (UNSET, UNSET)):
        raise Invalid("Request body: give either `status`, or `thread_id` and `run_ids`")
    if isinstance(body.thread_id, str) and isinstance(body.run_ids, list):
        thread_id = canonical(body.thread_id, "thread")
        runs = {(thread_id, canonical(run_id, "run")) for run_id in body.run_ids}
        if not await sight.sees_thread(request, thread_id, "update"):
            raise NotFound("No matching runs to cancel.")
        cancelled = await cancel_some(client, runs, action, reason)
    else:
        only: Only = body.status if body.status in {"pending", "running"} else ""
        visible = await sight.authorize(request, "threads", "update", {"status": body.status, "action": action})
        among = None if visible is None else partial(sight.seen_threads, request, visible)
        cancelled = await cancel_all(client, action, reason, only, among)
    if not cancelled:
        raise NotFound("No matching runs to cancel.")


@operation("DELETE", "/threads/{thread_id}/runs/{run_id}", errors=(404, 409, 503), tags=_TAGS)
async def delete_run(request: web.Request, thread_id: ThreadId, run_id: RunId) -> None:
    """Delete a run with the checkpoints it wrote; a run that is not over is cancelled first.

    The thread's state is then that of before the run.
    """
    client = request.app[CLIENT]
    runs = RunStore(client)
    record = await runs.record(thread_id, run_id)
    if record.is_active:
        position = await runs.position(thread_id)
        gone = False
        with contextlib.suppress(NotFound):  # it is being cancelled already, or has just ended
            gone = await cancel(client, thread_id, run_id, "rollback", "the run was deleted")
        if not gone:
            await _end_of(request, runs, thread_id, run_id, position)
        try:
            record = await runs.record(thread_id, run_id)
        except NotFound:
            return  # rolled back
    if record.wrote:
        await request.app[QUERIES].ask("delete_run", thread_id, record.graph, run_id=run_id)
    else:
        await runs.forget(thread_id, run_id)


async def _end_of(request: web.Request, runs: RunStore, thread_id: str, run_id: str, position: str) -> None:
    """Wait until a run that was told to stop has done so."""
    async with contextlib.aclosing(follow(request.app[HUB], runs, thread_id, run_id, position)) as batches:
        async for _ in batches:
            pass


OPERATIONS: list[Operation] = [
    create_run,
    create_stateless_run,
    list_runs,
    get_run,
    cancel_run,
    cancel_runs,
    delete_run,
]
