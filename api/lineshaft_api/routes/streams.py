"""Watching runs: create and stream, create and wait, join a run that is there already."""

import asyncio
import contextlib
from collections.abc import Iterator

import msgspec
from aiohttp import web
from msgspec import Struct

from lineshaft import log
from lineshaft.cancellation import cancel
from lineshaft.errors import Invalid, NotFound, Unavailable
from lineshaft.events import END, GAP, Entry, EventLog, client_id, is_later, redis_id
from lineshaft.run_request import RunCreate
from lineshaft.runs import Created, RunRecord, RunStore
from lineshaft.threads import ThreadStore
from lineshaft_api import outcome, sse
from lineshaft_api.context import BACKGROUND, CLIENT, DRAINING, HUB, REQUEST_ID
from lineshaft_api.follow import Batches, follow, while_serving
from lineshaft_api.operation import Operation, RunId, ThreadId, operation

logger = log.get("streams")

_TAGS = ("Runs",)
_STATELESS = ("Stateless runs",)
_ERRORS = (400, 404, 409, 429, 503)


class JoinQuery(Struct):
    """How to join a run."""

    cancel_on_disconnect: bool = False


class JoinStreamQuery(Struct):
    """How to join a run's stream; `stream_mode` picks among the modes of the run: repeated, or one JSON list."""

    cancel_on_disconnect: bool = False
    stream_mode: list[str] = []


@operation("POST", "/threads/{thread_id}/runs/stream", errors=_ERRORS, tags=_TAGS)
async def stream_run(request: web.Request, thread_id: ThreadId, body: RunCreate) -> web.StreamResponse:
    """Create a run and stream its events."""
    created = await RunStore(request.app[CLIENT]).create(thread_id, body, request_id=request[REQUEST_ID])
    return await _stream_new(request, created, body, f"/threads/{thread_id}/runs/{created.run.run_id}")


@operation("POST", "/runs/stream", errors=_ERRORS, tags=_STATELESS)
async def stream_stateless_run(request: web.Request, body: RunCreate) -> web.StreamResponse:
    """Create a run on a thread of its own and stream its events."""
    created = await RunStore(request.app[CLIENT]).create(None, body, request_id=request[REQUEST_ID])
    return await _stream_new(request, created, body, f"/runs/{created.run.run_id}")


async def _stream_new(request: web.Request, created: Created, body: RunCreate, location: str) -> web.StreamResponse:
    runs, thread_id, run_id = RunStore(request.app[CLIENT]), created.run.thread_id, created.run.run_id
    entries = follow(request.app[HUB], runs, thread_id, run_id, created.position)
    headers = {"Location": f"{location}/stream", "Content-Location": location}
    with _cancelling(request, thread_id, run_id, active=body.on_disconnect == "cancel"):
        return await sse.stream(request, entries, headers, with_ids=body.stream_resumable)


@operation("POST", "/threads/{thread_id}/runs/wait", errors=_ERRORS, tags=_TAGS, media="application/json")
async def wait_run(request: web.Request, thread_id: ThreadId, body: RunCreate) -> web.StreamResponse:
    """Create a run and wait for its end: the answer is the thread's values.

    The status is 200 also when the run fails: the body is then `{"__error__": {"error", "message"}}`.
    """
    created = await RunStore(request.app[CLIENT]).create(thread_id, body, request_id=request[REQUEST_ID])
    with _cancelling(request, thread_id, created.run.run_id, active=body.on_disconnect == "cancel"):
        return await _wait(request, thread_id, created.run.run_id, created.position, stateless=False)


@operation("POST", "/runs/wait", errors=_ERRORS, tags=_STATELESS, media="application/json")
async def wait_stateless_run(request: web.Request, body: RunCreate) -> web.StreamResponse:
    """Create a run on a thread of its own and wait for its end."""
    created = await RunStore(request.app[CLIENT]).create(None, body, request_id=request[REQUEST_ID])
    run = created.run
    with _cancelling(request, run.thread_id, run.run_id, active=body.on_disconnect == "cancel"):
        return await _wait(request, run.thread_id, run.run_id, created.position, stateless=True)


@operation("GET", "/threads/{thread_id}/runs/{run_id}/join", errors=(404,), tags=_TAGS, media="application/json")
async def join_run(request: web.Request, thread_id: ThreadId, run_id: RunId, query: JoinQuery) -> web.StreamResponse:
    """Wait for a run's end; of a run that is over, the thread's present values."""
    record = await RunStore(request.app[CLIENT]).record(thread_id, run_id)
    with _cancelling(request, thread_id, run_id, active=query.cancel_on_disconnect and record.is_active):
        # A temporary thread has gone with its run: for some minutes the log still tells how that ended.
        position = record.position if record.is_active or record.spec.temporary else None
        return await _wait(request, thread_id, run_id, position, stateless=record.spec.temporary)


@operation("GET", "/threads/{thread_id}/runs/{run_id}/stream", errors=(404,), tags=_TAGS)
async def join_stream(
    request: web.Request, thread_id: ThreadId, run_id: RunId, query: JoinStreamQuery
) -> web.StreamResponse:
    """Stream a run's events from now on, or with `Last-Event-ID` from behind that event on (resumable runs)."""
    runs = RunStore(request.app[CLIENT])
    record = await runs.record(thread_id, run_id)
    last_id = request.headers.get("Last-Event-ID") if record.resumable else None
    if not record.is_active:
        # Over: what is kept of a resumable run is replayed to who asks for it, nothing to anybody else.
        entries = _replay(EventLog(request.app[CLIENT]), thread_id, run_id, record) if last_id else _nothing()
    else:
        # Begun without us: what was before is nobody's any more. Not begun: all of it is to come.
        now_on = last_id is None and record.first
        after = await runs.position(thread_id) if now_on else record.position
        entries = follow(request.app[HUB], runs, thread_id, run_id, after)
    location = f"/threads/{thread_id}/runs/{run_id}"
    headers = {"Location": f"{location}/stream", "Content-Location": location}
    chosen = _choose(entries, last_id or "", _modes(query.stream_mode))
    with _cancelling(request, thread_id, run_id, active=query.cancel_on_disconnect and record.is_active):
        return await sse.stream(request, chosen, headers, with_ids=record.resumable)


async def _wait(
    request: web.Request, thread_id: str, run_id: str, position: str | None, *, stateless: bool
) -> web.StreamResponse:
    """Answer headers at once, a newline every 5 seconds, and in the end one JSON value. No position: it is over."""
    location = f"/threads/{thread_id}/runs/{run_id}"
    headers = {"Content-Type": "application/json", "Location": f"{location}/join", "Content-Location": location}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    client = request.app[CLIENT]
    result = outcome.Outcome()
    if position is not None:
        batches = follow(request.app[HUB], RunStore(client), thread_id, run_id, position)
        async with contextlib.aclosing(while_serving(request.app, batches)) as served:
            async for entries in served:
                result.add(entries)
                if not entries:
                    await response.write(b"\n")
        if request.app[DRAINING].is_set():
            # Cut off, not ended: clients then ask again at the Location.
            raise ConnectionResetError("the gateway is stopping")
    body = result.body()
    if body is None and stateless:
        body = b"{}"
    elif body is None:
        try:
            body = outcome.of_thread(await ThreadStore(client).get(thread_id), seen=position is not None)
        except NotFound as error:  # deleted meanwhile; the headers have been sent
            body = msgspec.json.encode({"__error__": {"error": "NotFound", "message": str(error)}})
    await response.write(body)
    await response.write_eof()
    return response


@contextlib.contextmanager
def _cancelling(request: web.Request, thread_id: str, run_id: str, *, active: bool) -> Iterator[None]:
    """If the client goes away, and wants it so, cancel the run. A gateway that stops cancels nothing."""
    try:
        yield
    except (asyncio.CancelledError, ConnectionError):
        if active and not request.app[DRAINING].is_set():
            reason = "client disconnected from the run stream (on_disconnect=cancel)"
            task = asyncio.create_task(_cancel_quietly(request.app, thread_id, run_id, reason))
            # Kept by the application until it is done: this handler's own task ends now.
            request.app[BACKGROUND].add(task)
            task.add_done_callback(request.app[BACKGROUND].discard)
        raise


async def _cancel_quietly(app: web.Application, thread_id: str, run_id: str, reason: str) -> None:
    try:
        await cancel(app[CLIENT], thread_id, run_id, "interrupt", reason)
    except NotFound:
        pass  # it has ended meanwhile
    except Unavailable as error:
        logger.warning("a run whose client has gone was not cancelled", run_id=run_id, error=str(error))


async def _replay(events: EventLog, thread_id: str, run_id: str, record: RunRecord) -> Batches:
    """What the log still has of a run that is over; a gap where that is not all."""
    after, first = record.position, redis_id(record.first)
    while page := await events.read(thread_id, after):
        if not page[0].run_id and not is_later(first, page[0].id):
            yield page[:1]
        own = [entry for entry in page if entry.run_id == run_id]
        over = bool(own) and own[-1].event == END
        if shown := own[:-1] if over else own:
            yield shown
        if over:
            return
        after = page[-1].id
    yield [Entry(client_id(first), run_id, 0, GAP, b'{"reason":"the events have expired"}', 0)]


async def _nothing() -> Batches:
    return
    yield []  # makes this an iterator


async def _choose(batches: Batches, behind: str, modes: set[str]) -> Batches:
    """Events behind an id, compared as text, in the chosen modes (all, if none is chosen)."""
    always = {"error", GAP}
    async with contextlib.aclosing(batches):
        async for batch in batches:
            chosen = [e for e in batch if e.id > behind and (not modes or _mode(e) in modes or e.event in always)]
            # A batch of which nothing is chosen is not silence: no heartbeat for it.
            if chosen or not batch:
                yield chosen


def _mode(entry: Entry) -> str:
    """The stream mode that an event belongs to: `messages` of `messages/partial`, `values` of `values|child:...`."""
    return entry.mode.partition("/")[0]


def _modes(values: list[str]) -> set[str]:
    modes: set[str] = set()
    for value in filter(None, values):  # the official client sends `stream_mode=` when none is chosen
        try:
            modes |= set(msgspec.json.decode(value, type=list[str])) if value.startswith("[") else {value}
        except msgspec.DecodeError:
            raise Invalid(f"Query: stream_mode {value!r} is neither a mode nor a JSON list of modes") from None
    return {"messages" if mode == "messages-tuple" else mode for mode in modes}


OPERATIONS: list[Operation] = [
    stream_run,
    stream_stateless_run,
    wait_run,
    wait_stateless_run,
    join_run,
    join_stream,
]
