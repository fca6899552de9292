"""Watching runs: create and stream, create and wait, join a run that is there already."""

import contextlib
import re

import msgspec
from aiohttp import web
from msgspec import Struct

from lineshaft.errors import Invalid, NotFound
from lineshaft.events.log import END, GAP, USUAL, Entry, EventLog, client_id, count_like, is_later, redis_id
from lineshaft.runs.record import RunRecord
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import Created, RunStore
from lineshaft.threads.thread import ThreadStore
from lineshaft_api import outcome, sse
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.running import create_run
from lineshaft_api.context import CLIENT, HUB
from lineshaft_api.disconnect import cancelling
from lineshaft_api.follow import Batches, follow, quietly
from lineshaft_api.operation import Operation, RunId, ThreadId, operation
from lineshaft_api.waiting import wait_for_end

_ID = re.compile(r"\d{13}-\d{4}")  # as `client_id` makes them; else an id only counts as text

_TAGS = ("Runs",)
_STATELESS = ("Stateless runs",)
_ERRORS = (400, 404, 409, 429, 503)


class JoinQuery(Struct):
    """How to join a run."""

    cancel_on_disconnect: bool = False


class JoinStreamQuery(Struct):
    """How to join a run's stream. `stream_mode` picks among the run's modes: repeated, with commas, or a JSON list."""

    cancel_on_disconnect: bool = False
    stream_mode: list[str] = []


@operation("POST", "/threads/{thread_id}/runs/stream", errors=_ERRORS, tags=_TAGS, access=ITSELF)
async def stream_run(request: web.Request, thread_id: ThreadId, body: RunCreate) -> web.StreamResponse:
    """Create a run and stream its events."""
    created = await create_run(request, thread_id, body)
    return await _stream_new(request, created, body, f"/threads/{created.run.thread_id}/runs/{created.run.run_id}")


@operation("POST", "/runs/stream", errors=_ERRORS, tags=_STATELESS, access=ITSELF)
async def stream_stateless_run(request: web.Request, body: RunCreate) -> web.StreamResponse:
    """Create a run on a thread of its own and stream its events."""
    created = await create_run(request, None, body)
    return await _stream_new(request, created, body, f"/runs/{created.run.run_id}")


async def _stream_new(request: web.Request, created: Created, body: RunCreate, location: str) -> web.StreamResponse:
    runs, thread_id, run_id = RunStore(request.app[CLIENT]), created.run.thread_id, created.run.run_id
    entries = follow(request.app[HUB], runs, thread_id, run_id, created.position)
    headers = {"Location": f"{location}/stream", "Content-Location": location}
    with cancelling(request, thread_id, run_id, active=body.on_disconnect == "cancel"):
        return await sse.stream(request, entries, headers, with_ids=body.stream_resumable)


@operation(
    "POST", "/threads/{thread_id}/runs/wait", errors=_ERRORS, tags=_TAGS, access=ITSELF, media="application/json"
)
async def wait_run(request: web.Request, thread_id: ThreadId, body: RunCreate) -> web.StreamResponse:
    """Create a run and wait for its end: the answer is the thread's values.

    The status is 200 also when the run fails: the body is then `{"__error__": {"error", "message"}}`.
    """
    created = await create_run(request, thread_id, body)
    run = created.run
    with cancelling(request, run.thread_id, run.run_id, active=body.on_disconnect == "cancel"):
        return await _wait(request, run.thread_id, run.run_id, created.position, stateless=False)


@operation("POST", "/runs/wait", errors=_ERRORS, tags=_STATELESS, access=ITSELF, media="application/json")
async def wait_stateless_run(request: web.Request, body: RunCreate) -> web.StreamResponse:
    """Create a run on a thread of its own and wait for its end."""
    created = await create_run(request, None, body)
    run = created.run
    with cancelling(request, run.thread_id, run.run_id, active=body.on_disconnect == "cancel"):
        return await _wait(request, run.thread_id, run.run_id, created.position, stateless=True)


@operation("GET", "/threads/{thread_id}/runs/{run_id}/join", errors=(404,), tags=_TAGS, media="application/json")
async def join_run(request: web.Request, thread_id: ThreadId, run_id: RunId, query: JoinQuery) -> web.StreamResponse:
    """Wait for a run's end; of a run that is over, the thread's present values."""
    record = await RunStore(request.app[CLIENT]).record(thread_id, run_id)
    with cancelling(request, thread_id, run_id, active=query.cancel_on_disconnect and record.is_active):
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
    last_id = request.headers.get("Last-Event-ID", "") if record.resumable else ""
    if not record.is_active:
        # Over: what is kept of a resumable run is replayed to who asks for it, nothing to anybody else.
        entries = _replay(EventLog(request.app[CLIENT]), thread_id, run_id, record) if last_id else _nothing()
    else:
        newest = await runs.position(thread_id) if record.first else record.position
        after, last_id = _start(record, last_id, newest)
        entries = follow(request.app[HUB], runs, thread_id, run_id, after, from_past=bool(last_id))
    location = f"/threads/{thread_id}/runs/{run_id}"
    headers = {"Location": f"{location}/stream", "Content-Location": location}
    chosen = quietly(_choose(entries, last_id, _modes(query.stream_mode)))
    with cancelling(request, thread_id, run_id, active=query.cancel_on_disconnect and record.is_active):
        return await sse.stream(request, chosen, headers, with_ids=record.resumable)


def _start(record: RunRecord, last_id: str, newest: str) -> tuple[str, str]:
    """Where to read on the log of an active run, and behind which id, as text, its events are shown."""
    if not record.first:
        return record.position, ""  # not begun: all of it is to come
    if not last_id or last_id > client_id(newest):
        # Begun without us: what was before is nobody's any more. The same for an id that was never given: compared with
        # it all that comes would be old.
        return newest, ""
    seen = redis_id(last_id) if _ID.fullmatch(last_id) else record.position
    return seen if is_later(seen, record.position) else record.position, last_id


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
        result = await wait_for_end(request.app, thread_id, run_id, position, lambda: response.write(b"\n"))
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


async def _replay(events: EventLog, thread_id: str, run_id: str, record: RunRecord) -> Batches:
    """What the log still has of a run that is over; a gap where that is not all."""
    after, first = record.position, redis_id(record.first)
    is_told = False
    count = USUAL
    while page := await events.read(thread_id, after, count):
        count = count_like(page)
        if not page[0].run_id and not is_later(first, page[0].id):
            yield page[:1]
            is_told = True
        own = [entry for entry in page if entry.run_id == run_id]
        over = bool(own) and own[-1].event == END
        if shown := own[:-1] if over else own:
            yield shown
        if over:
            return
        after = page[-1].id
    if not is_told:
        yield [Entry(client_id(first), run_id, 0, GAP, b'{"reason":"the events have expired"}', 0)]


async def _nothing() -> Batches:
    return
    yield []  # makes this an iterator


async def _choose(batches: Batches, behind: str, modes: set[str]) -> Batches:
    """Events behind an id, compared as text, in the chosen modes (all, if none is chosen)."""
    always = {"error", GAP}
    async with contextlib.aclosing(batches):
        async for batch in batches:
            yield [e for e in batch if e.id > behind and (not modes or _mode(e) in modes or e.event in always)]


def _mode(entry: Entry) -> str:
    """The stream mode that an event belongs to: `messages` of `messages/partial`, `values` of `values|child:...`."""
    return entry.mode.partition("/")[0]


def _modes(values: list[str]) -> set[str]:
    modes: set[str] = set()
    for value in filter(None, values):  # the official client sends `stream_mode=` when none is chosen
        try:
            modes |= set(msgspec.json.decode(value, type=list[str]) if value.startswith("[") else value.split(","))
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
