"""Asks whether a caller may do something, and whether the object is there for them: the one place for both.

What a caller may not see does not exist: every refusal reads as it does for what is really not there.
"""

import uuid
from typing import Any

from aiohttp import web

from lineshaft.access.visibility import Visible, restrict
from lineshaft.assistants.assistant import Assistant, AssistantStore
from lineshaft.crons.cron import CronStore
from lineshaft.errors import NotFound
from lineshaft.ids import system_assistant
from lineshaft.runs.run import RunStore
from lineshaft.threads.thread import ThreadStore
from lineshaft_api.context import CLIENT

from .caller import AUTHENTICATOR, CALLER


async def authorize(request: web.Request, resource: str, action: str, value: dict[str, Any]) -> Visible | None:
    """What of a resource the caller may see for an action; None: all. The answer may have changed `value`.

    Raises Forbidden, and what the authorization of the user's own raises.
    """
    caller = request[CALLER]
    if not caller.is_limited:
        return None
    return await request.app[AUTHENTICATOR].authorize(caller, resource, action, value)


async def restricted(
    request: web.Request, resource: str, wanted: dict[str, Any], action: str = "search", **value: Any
) -> dict[str, Any]:
    """A metadata filter that finds what the caller may see, of what `wanted` finds."""
    asked = {"metadata": dict(wanted), **value}
    visible = await authorize(request, resource, action, asked)
    return restrict(asked.get("metadata") or {}, visible)


async def check_thread(
    request: web.Request, thread_id: str, action: str, value: dict[str, Any] | None = None, *, run_id: str = ""
) -> None:
    """Raises NotFound unless there is such a thread for the caller, or a run that has outlived it."""
    asked = {"thread_id": uuid.UUID(thread_id)} if value is None else value
    visible = await authorize(request, "threads", action, asked)
    if visible is not None and not await _sees_thread(request, thread_id, visible, run_id):
        raise NotFound(f"Thread with ID {thread_id} not found")


async def sees_thread(request: web.Request, thread_id: str, action: str = "read") -> bool:
    """Whether a thread is there for the caller; True also for one that is not there, if nothing is hidden from them."""
    visible = await authorize(request, "threads", action, {"thread_id": uuid.UUID(thread_id)})
    return visible is None or await _sees_thread(request, thread_id, visible, "")


async def metadata_of(request: web.Request, thread_id: str) -> dict[str, Any] | None:
    """A thread's metadata; None if there is no such thread."""
    (metadata,) = await ThreadStore(request.app[CLIENT]).metadata([thread_id])
    return metadata


async def seen_threads(request: web.Request, visible: Visible, thread_ids: list[str]) -> set[str]:
    """Those that the caller may see."""
    every = await ThreadStore(request.app[CLIENT]).metadata(thread_ids)
    return {i for i, metadata in zip(thread_ids, every, strict=True) if metadata is not None and visible.sees(metadata)}


async def _sees_thread(request: web.Request, thread_id: str, visible: Visible, run_id: str) -> bool:
    metadata = await metadata_of(request, thread_id)
    if metadata is None and run_id:
        # A temporary thread has gone with its run, which knows what the thread was.
        try:
            metadata = (await RunStore(request.app[CLIENT]).record(thread_id, run_id)).metadata_of_thread()
        except NotFound:
            return False
    return metadata is not None and visible.sees(metadata)


async def check_assistant(request: web.Request, assistant_id: str, action: str, value: dict[str, Any]) -> None:
    """Raises NotFound unless there is such an assistant for the caller."""
    visible = await authorize(request, "assistants", action, {"assistant_id": uuid.UUID(assistant_id), **value})
    if visible is not None:
        assistant = await AssistantStore(request.app[CLIENT]).get(assistant_id)
        if not visible.sees(searched(assistant)):
            raise NotFound(f"Assistant {assistant_id} not found")


def searched(assistant: Assistant) -> dict[str, Any]:
    """What of an assistant is compared with conditions."""
    return {**assistant.metadata, "graph_id": assistant.graph_id}


def is_system(assistant: Assistant) -> bool:
    """Whether it is a graph's own, which everybody may run; its metadata could say so of any."""
    return assistant.assistant_id == system_assistant(assistant.graph_id)


async def check_cron(request: web.Request, cron_id: str, action: str, value: dict[str, Any]) -> None:
    """Raises NotFound unless there is such a cron for the caller."""
    visible = await authorize(request, "crons", action, {"cron_id": uuid.UUID(cron_id), **value})
    if visible is not None and not visible.sees((await CronStore(request.app[CLIENT]).get(cron_id)).metadata):
        raise NotFound(f"Cron with ID {cron_id} not found")
