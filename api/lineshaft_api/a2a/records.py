"""Finds tasks: which runs of a thread belong to which."""

from typing import Any

import msgspec
from aiohttp import web
from msgspec import Raw, Struct

from lineshaft.errors import NotFound
from lineshaft.runs.run import Run, RunStore
from lineshaft.threads.thread import Thread, ThreadStore
from lineshaft_api.auth.sight import check_thread
from lineshaft_api.context import CLIENT

from . import ending
from .task import Data, Message, Ref, Text

# In the metadata of a run that answers a task's question: the run which began the task.
TASK = "a2a_task"
_FIRST_LOOK = 10  # a task that somebody asks for is nearly always one of the newest
EVERY = 1_000  # runs that a thread keeps, by default


class TaskRecord(Struct):
    """A task as its context has it."""

    ref: Ref
    first: Run
    last: Run
    newest: bool  # the state of the thread is what this task has left
    later: list[Run]  # of other tasks

    def asked(self) -> list[Message]:
        """What the task was begun with, as far as it is still known."""
        return asked(self.ref, self.first)

    def asked_later(self) -> set[str]:
        """The ids of the messages by which others began."""
        return {message.message_id for run in self.later for message in asked(self.ref, run)}


async def find(request: web.Request, assistant_id: str, task_id: str) -> tuple[TaskRecord, Thread]:
    """A task of an assistant, and its thread. Raises NotFound."""
    ref, client = Ref.parse(task_id), request.app[CLIENT]
    runs: list[Run] = []
    try:
        await check_thread(request, ref.context_id, "read")
        for count in (_FIRST_LOOK, EVERY):
            runs = await RunStore(client).page(ref.context_id, limit=count, offset=0)
            for record in group(ref.context_id, assistant_id, runs):
                if record.ref == ref:
                    return record, await ThreadStore(client).get(ref.context_id)
            if len(runs) < count:
                break
    except NotFound:
        pass
    raise NotFound(f"Task {task_id} not found")


def group(context_id: str, assistant_id: str, runs: list[Run]) -> list[TaskRecord]:
    """The tasks that these runs (newest first) are, as far as the run that began each is among them."""
    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(run.metadata.get(TASK, run.run_id), []).append(run)
    found: list[TaskRecord] = []
    for first_id, own in tasks.items():
        if own[-1].run_id == first_id and own[-1].assistant_id == assistant_id:
            later = [run for run in runs[: runs.index(own[-1])] if run not in own]
            ref = Ref(context_id, first_id)
            found.append(TaskRecord(ref, own[-1], own[0], own[0] is runs[0], later))
    return found


def asked(ref: Ref, run: Run) -> list[Message]:
    """The messages that a run was given, or its input as data."""
    given: Any = run.kwargs["input"]
    if isinstance(given, Raw):
        given = msgspec.json.decode(given)
    if not isinstance(given, dict):
        return []
    messages = ending.said(given.get("messages"))
    if not messages:
        return [Message("user", [Data(given)], run.run_id, ref.context_id, ref.task_id)]
    return [Message(m.role, [Text(m.text)], m.message_id, ref.context_id, ref.task_id) for m in messages]
