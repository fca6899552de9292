"""Tasks that are there already: read one, cancel one, list some."""

import contextlib
from operator import itemgetter
from typing import Annotated, Any

from aiohttp import web
from msgspec import UNSET, Meta, Struct

from lineshaft.errors import Conflict, Invalid, NotFound
from lineshaft.ids import canonical
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.run import Run, RunStore
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.thread import Thread, ThreadStore
from lineshaft_api.auth.caller import CALLER
from lineshaft_api.auth.sight import restricted, sees_thread
from lineshaft_api.context import CLIENT

from . import ending, records, task, v1
from .message import HistoryLength
from .records import TaskRecord
from .sending import Going, newest, wants_own_only
from .task import Ref, Task

# Without a context only the newest are looked at: so many contexts, and so many runs of each.
_CONTEXTS, _NEWEST = 100, 20


class TaskQuery(Struct, rename="camel"):
    """Which task; the context is part of its id, but clients name it too."""

    id: str
    context_id: str | None = None
    history_length: HistoryLength | None = None


class TaskListQuery(Struct, rename="camel"):
    """Which tasks of a context; without one, of those contexts of the agent that changed last."""

    context_id: str = ""
    status: str = ""
    page_size: Annotated[int, Meta(ge=1, le=100)] = 50
    page_token: str = ""
    history_length: HistoryLength | None = None


async def get(request: web.Request, assistant_id: str, asked: TaskQuery) -> Task:
    """A task as it is now. Raises NotFound."""
    record, thread = await _find(request, assistant_id, asked)
    return _shown(request, record, thread, asked.history_length)


async def follow(request: web.Request, assistant_id: str, asked: TaskQuery) -> Going:
    """A task to stream once more, for a client that has lost its stream: all words of its run come again.

    Of one that does not go on only the status comes. Raises NotFound.
    """
    record, thread = await _find(request, assistant_id, asked)
    run = await RunStore(request.app[CLIENT]).record(record.ref.context_id, record.last.run_id)
    shown = _shown(request, record, thread, asked.history_length)
    position = run.position if run.is_active and not run.cancel else None
    return Going(assistant_id, record.ref, record.last.run_id, position, record.asked(), shown)


async def stop(request: web.Request, assistant_id: str, asked: TaskQuery) -> Task:
    """Cancel a task that goes on. Raises NotFound, or Conflict for one that does not."""
    request[CALLER].require("write")
    record, _ = await _find(request, assistant_id, asked)
    if not await sees_thread(request, record.ref.context_id, "update"):
        raise NotFound(f"Task {asked.id} not found")
    run, reason = record.last, "tasks/cancel of another agent"
    over = run.status not in {"pending", "running"}
    if not over:
        try:
            await cancel(request.app[CLIENT], record.ref.context_id, run.run_id, "interrupt", reason)
        except NotFound:  # it has ended meanwhile
            over = True
    found = await get(request, assistant_id, asked)
    if over:
        raise Conflict(f"Task {asked.id} is {found.status.state} and cannot be canceled")
    return found


async def page(request: web.Request, assistant_id: str, asked: TaskListQuery) -> dict[str, Any]:
    """A page of tasks in the shape of 1.0: of one context, newest first, or what changed last. Raises Invalid."""
    if asked.page_token and not (asked.page_token.isascii() and asked.page_token.isdigit()):
        raise Invalid("params: that is no pageToken; use nextPageToken of the page before")
    client = request.app[CLIENT]
    every: list[tuple[str, Ref]] = []  # with the time of their last change; not the tasks, whose inputs may be large
    for context_id, status in await _contexts(request, assistant_id, asked.context_id):
        count = records.EVERY if asked.context_id else _NEWEST
        for record in records.group(context_id, assistant_id, await _runs(client, context_id, count)):
            state = ending.state_of(record.last.status, status, newest=record.newest)
            if asked.status in ("", "TASK_STATE_UNSPECIFIED", v1.state(state)):
                every.append((record.last.updated_at, record.ref))
    if not asked.context_id:
        every.sort(key=itemgetter(0), reverse=True)
    start = int(asked.page_token or 0)
    following = start + asked.page_size
    shown: list[Task] = []
    for _, ref in every[start:following]:
        with contextlib.suppress(NotFound):  # deleted meanwhile
            record, thread = await records.find(request, assistant_id, ref.task_id)
            shown.append(_shown(request, record, thread, asked.history_length))
    return {
        "tasks": [v1.task(found) for found in shown],
        "nextPageToken": str(following) if following < len(every) else "",
        "pageSize": asked.page_size,
        "totalSize": len(every),
    }


async def _contexts(request: web.Request, assistant_id: str, named: str) -> list[tuple[str, str]]:
    """The contexts whose tasks are listed, and the statuses of their threads. Raises Invalid for an unknown one."""
    client = request.app[CLIENT]
    if not named:
        where = Filter(metadata=await restricted(request, "threads", {"assistant_id": assistant_id}))
        found = await ThreadSearch(client).search(where, limit=_CONTEXTS, offset=0, with_state=False)
        return [(thread.thread_id, thread.status) for thread in found.rows]
    context_id = canonical(named, "context")
    (record,) = await ThreadStore(client).records([context_id])
    if record is None or not await sees_thread(request, context_id):
        raise Invalid(f"params: there is no context {context_id}")
    return [(context_id, record.shown)]


async def _runs(client: Client, context_id: str, count: int) -> list[Run]:
    try:
        return await RunStore(client).page(context_id, limit=count, offset=0)
    except NotFound:  # deleted meanwhile
        return []


async def _find(request: web.Request, assistant_id: str, asked: TaskQuery) -> tuple[TaskRecord, Thread]:
    record, thread = await records.find(request, assistant_id, asked.id)
    if asked.context_id and canonical(asked.context_id, "context") != record.ref.context_id:
        raise NotFound(f"Task {asked.id} not found in context {asked.context_id}")
    return record, thread


def _shown(request: web.Request, record: TaskRecord, thread: Thread, length: int | None) -> Task:
    ref, end = record.ref, ending.of_thread(record.last.status, thread, newest=record.newest)
    history = task.history(ref, end, record.asked(), record.asked_later(), only_task=wants_own_only(request))
    made = task.artifact(ref, record.last.assistant_id, end) if record.newest else None
    status = task.status(ref, end.state, end.word())
    return Task(ref.task_id, ref.context_id, status, newest(history, length), [made] if made else UNSET)
