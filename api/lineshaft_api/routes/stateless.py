"""Runs without a thread of the client's: several at once, and those that are there already, by their id alone."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import MAX_BATCH, Run, RunStore
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.running import create_runs
from lineshaft_api.context import CLIENT
from lineshaft_api.operation import Operation, RunId, operation

from .streams import JoinQuery, JoinStreamQuery, join_run, join_stream

_TAGS = ("Stateless runs",)

# The bounds are shown here and checked in the store, which says in a sentence what to do.
Batch = Annotated[list[RunCreate], Meta(extra_json_schema={"minItems": 1, "maxItems": MAX_BATCH})]


@operation("POST", "/runs/batch", errors=(400, 404, 503), tags=_TAGS, access=ITSELF)
async def create_run_batch(request: web.Request, body: Batch) -> list[Run]:
    """Create several background runs at once, each on a thread of its own.

    All of them are created, or, if one cannot be, none.
    """
    created = await create_runs(request, body)
    return [one.run for one in created]


@operation("GET", "/runs/{run_id}", errors=(404,), tags=_TAGS)
async def get_stateless_run(request: web.Request, run_id: RunId) -> Run:
    """Read a run; one whose temporary thread has gone can be read for some minutes more."""
    runs = RunStore(request.app[CLIENT])
    return await runs.get(await runs.find(run_id), run_id)


@operation("GET", "/runs/{run_id}/join", errors=(404,), tags=_TAGS, media="application/json")
async def join_stateless_run(request: web.Request, run_id: RunId, query: JoinQuery) -> web.StreamResponse:
    """Wait for a run's end."""
    thread_id = await RunStore(request.app[CLIENT]).find(run_id)
    return await join_run.handler(request, thread_id, run_id, query)  # type: ignore[no-any-return]  # handlers are of any type


@operation("GET", "/runs/{run_id}/stream", errors=(404,), tags=_TAGS)
async def join_stateless_stream(request: web.Request, run_id: RunId, query: JoinStreamQuery) -> web.StreamResponse:
    """Stream a run's events from now on, or with `Last-Event-ID` from behind that event on (resumable runs)."""
    thread_id = await RunStore(request.app[CLIENT]).find(run_id)
    return await join_stream.handler(request, thread_id, run_id, query)  # type: ignore[no-any-return]  # as above


OPERATIONS: list[Operation] = [
    create_run_batch,
    get_stateless_run,
    join_stateless_run,
    join_stateless_stream,
]
