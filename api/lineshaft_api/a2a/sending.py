"""Sends a message to an agent: a run on the context's thread, waited for or followed."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Struct

from lineshaft.assistants.assistant import Assistant
from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.errors import Invalid
from lineshaft.events.log import Entry
from lineshaft.ids import canonical, uuid7
from lineshaft.runs.request import RunCreate, StreamMode
from lineshaft.runs.run import RunStore
from lineshaft.threads.thread import ThreadStore
from lineshaft_api.auth.running import create_run
from lineshaft_api.context import CLIENT, HUB
from lineshaft_api.follow import follow
from lineshaft_api.outcome import Outcome
from lineshaft_api.waiting import LateResponse, wait_for_end

from . import ending, records, task
from .ending import Ending
from .message import Send
from .task import ArtifactUpdate, Event, Message, Ref, StatusUpdate, Task

# `task`: only the task's own messages in its history; by default those of its whole context.
_SCOPE_HEADER = "LangGraph-A2A-History-Scope"


class Going(Struct):
    """A task whose run is under way."""

    assistant_id: str
    ref: Ref
    run_id: str  # of the run that goes on with it: the task's own, or one that answers what it has asked
    position: str | None  # in the context's event log, where that run begins; None if it is over
    asked: list[Message]
    shown: Task  # as it is to begin with
    only_task: bool = False
    history_length: int | None = None


async def begin(request: web.Request, assistant: Assistant, asked: Send, *, watched: bool) -> Going:
    """Create the run; one that is `watched` shows its words as they come.

    Raises Invalid, NotFound for an unknown task, and what creating a run raises.
    """
    client, message = request.app[CLIENT], asked.message
    graph = await GraphRegistry(client).get(assistant.graph_id)
    modes: list[StreamMode] = ["values", "messages-tuple"] if watched else ["values"]
    body = RunCreate(assistant_id=assistant.assistant_id, if_not_exists="create", stream_mode=modes)
    history: list[Message]
    if message.task_id:
        record, thread = await records.find(request, assistant.assistant_id, message.task_id)
        if message.context_id and canonical(message.context_id, "context") != record.ref.context_id:
            raise Invalid("params.message: the task is one of another context")
        paused = ending.of_thread(record.last.status, thread, newest=record.newest)
        if paused.state != "input-required":
            raise Invalid(
                f"Task {message.task_id} is {paused.state} and takes no message; leave taskId out to begin another"
            )
        body.command = message.go_ahead() if paused.is_at_breakpoint else message.command(graph)
        body.metadata = {records.TASK: record.ref.run_id}
        ref, history = record.ref, record.asked()
        created = await create_run(request, ref.context_id, body)
    else:
        context_id = canonical(message.context_id, "context") if message.context_id else uuid7()
        body.input = message.graph_input(graph)
        created = await create_run(request, context_id, body)
        ref = Ref(context_id, created.run.run_id)
        history = [message.shown(ref)]
    shown = Task(ref.task_id, ref.context_id, task.status(ref, "submitted"), history)
    length, only_task = asked.configuration.history_length, wants_own_only(request)
    run_id, position = created.run.run_id, created.position
    return Going(assistant.assistant_id, ref, run_id, position, history, shown, only_task, length)


async def wait(request: web.Request, going: Going, response: LateResponse) -> Task:
    """The task at its end, or when it asks something."""
    await response.begin()
    outcome = await wait_for_end(request.app, going.ref.context_id, going.run_id, going.position or "", response.beat)
    end = await _end(request, going, outcome)
    return _at_end(going, end, end.word())


async def events(request: web.Request, going: Going) -> AsyncGenerator[list[Event]]:
    """The task as it begins, its words as they come, then what it has made; an empty list is a silence."""
    ref, outcome, words = going.ref, Outcome(), Words()
    yield [going.shown]
    if going.position is None:
        yield [StatusUpdate(ref.task_id, ref.context_id, going.shown.status, final=True)]
        return
    runs = RunStore(request.app[CLIENT])
    batches = follow(request.app[HUB], runs, ref.context_id, going.run_id, going.position, with_end=True)
    async with contextlib.aclosing(batches):
        async for entries in batches:
            outcome.add(entries)
            texts = [text for entry in entries if (text := words.add(entry))]
            updates: list[Event] = [_update(ref, task.status(ref, "working", text)) for text in texts]
            if updates or not entries:
                yield updates
    end = await _end(request, going, outcome)
    if made := task.artifact(ref, going.assistant_id, end):
        yield [ArtifactUpdate(ref.task_id, ref.context_id, made)]
    yield [_update(ref, task.status(ref, end.state, end.reason or end.word()), final=True)]


def _update(ref: Ref, status: task.Status, *, final: bool = False) -> StatusUpdate:
    return StatusUpdate(ref.task_id, ref.context_id, status, final)


def wants_own_only(request: web.Request) -> bool:
    """Whether histories are to hold the task's own messages only."""
    return request.headers.get(_SCOPE_HEADER, "").strip().lower() == "task"


def newest(history: list[Message], length: int | None) -> list[Message]:
    """The last messages of a history, as many as a client wants."""
    return history if length is None else history[max(0, len(history) - length) :]


def _at_end(going: Going, end: Ending, says: str) -> Task:
    history = task.history(going.ref, end, going.asked, set(), only_task=going.only_task)
    made = task.artifact(going.ref, going.assistant_id, end)
    return Task(
        going.ref.task_id,
        going.ref.context_id,
        task.status(going.ref, end.state, says),
        newest(history, going.history_length),
        [made] if made else msgspec.UNSET,
    )


async def _end(request: web.Request, going: Going, outcome: Outcome) -> Ending:
    """What the run's events tell of its end, else its record."""
    context_id = going.ref.context_id
    if found := ending.of_outcome(outcome):
        if found.state == "completed":
            # No event tells of a breakpoint; the thread does, unless somebody goes on with it already.
            (kept,) = await ThreadStore(request.app[CLIENT]).records([context_id])
            found.state = ending.state_of(outcome.status, kept.shown if kept else "", newest=True)
        return found
    record, thread = await records.find(request, going.assistant_id, going.ref.task_id)
    return ending.of_thread(record.last.status, thread, newest=record.newest)


class Words:
    """Puts together what a model says piece by piece."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._attempt = 0

    def add(self, entry: Entry) -> str:
        """All that a message says so far; nothing if this event adds no word to one."""
        if entry.attempt > self._attempt:
            self._attempt, self._texts = entry.attempt, {}
        if entry.event != "messages":
            return ""
        chunk: dict[str, Any]
        chunk, *_ = msgspec.json.decode(entry.data)
        words = ending.text_of(chunk.get("content"))
        if not words or chunk.get("type") not in {"ai", "AIMessageChunk"}:
            return ""
        message_id = chunk.get("id") or str(uuid4())
        before = self._texts.get(message_id, "") if chunk["type"] == "AIMessageChunk" else ""
        self._texts[message_id] = before + words
        return self._texts[message_id]
