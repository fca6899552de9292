"""Creates runs for callers: the one way from the gateway to a new run, whatever protocol has asked for it."""

import uuid
from typing import Any

import msgspec
from aiohttp import web

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.errors import Invalid, NotFound
from lineshaft.ids import canonical, system_assistant
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import Created, RunStore
from lineshaft_api.context import CLIENT, REQUEST_ID, SETTINGS

from . import sight
from .caller import CALLER
from .limits import count_runs

# As the script says it that finds no thread or assistant.
_NOT_FOUND = "Thread or assistant not found."


async def create_run(
    request: web.Request, thread_id: str | None, body: RunCreate, *, protocol_v2: bool = False
) -> Created:
    """Enqueue a run of the caller's. Raises what RunStore.create raises, Forbidden, and what handlers raise."""
    await admit(request, thread_id, body)
    await count_runs(request)
    return await RunStore(request.app[CLIENT]).create(
        thread_id,
        body,
        request_id=request[REQUEST_ID],
        protocol_v2=protocol_v2,
        user=request[CALLER].run_user,
        headers=_headers(request),
    )


async def create_runs(request: web.Request, bodies: list[RunCreate]) -> list[Created]:
    """Enqueue runs on threads of their own, all or none."""
    for place, body in enumerate(bodies):
        try:
            await admit(request, None, body)
        except NotFound as error:  # as it is said of one that is not there
            raise NotFound(f"{str(error).rstrip('.')} - at `$[{place}]`") from None
    await count_runs(request, len(bodies))
    store, caller = RunStore(request.app[CLIENT]), request[CALLER]
    return await store.create_batch(
        bodies, request_id=request[REQUEST_ID], user=caller.run_user, headers=_headers(request)
    )


def _headers(request: web.Request) -> dict[str, str]:
    """What the graph is told of the request's headers, by their lower-case names."""
    if not (rules := request.app[SETTINGS].langgraph_http.configurable_headers):
        return {}
    names = rules.chosen(frozenset(name.lower() for name in request.headers))
    return {name: request.headers[name] for name in sorted(names)}


async def admit(request: web.Request, thread_id: str | None, body: RunCreate) -> None:
    """Look whether the caller may make this run; the metadata that handlers write go into `body`, and to its thread."""
    caller = request[CALLER]
    caller.require("write")
    if not caller.is_limited:
        return
    value = _value(thread_id, body)
    visible = await sight.authorize(request, "threads", "create_run", value)
    if "metadata" in value:
        body.metadata = value["metadata"]
    if thread_id and visible is not None:
        metadata = await sight.metadata_of(request, thread_id)
        if metadata is not None and not visible.sees(metadata):
            raise NotFound(_NOT_FOUND)
    await check_runnable(request, body.assistant_id)


async def check_runnable(request: web.Request, named: str) -> None:
    """Raises NotFound unless the caller may run this assistant; a graph's own is everybody's, but for limited keys."""
    try:
        assistant_id = canonical(named, "assistant")
    except Invalid:
        assistant_id = system_assistant(named)
    try:
        assistant = await AssistantStore(request.app[CLIENT]).get(assistant_id)
    except NotFound:
        return  # whoever creates the run says so
    if sight.is_system(assistant) and not request[CALLER].graphs:
        return
    visible = await sight.authorize(request, "assistants", "read", {"assistant_id": uuid.UUID(assistant_id)})
    if visible is not None and not visible.sees(sight.searched(assistant)):
        raise NotFound(_NOT_FOUND)


def _value(thread_id: str | None, body: RunCreate) -> dict[str, Any]:
    """A run as handlers know one."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    try:
        assistant: Any = uuid.UUID(body.assistant_id)
    except ValueError:
        assistant = body.assistant_id
    return {
        "assistant_id": assistant,
        "thread_id": uuid.UUID(thread_id) if thread_id else None,
        "run_id": None,
        "status": "pending",
        "metadata": plain.pop("metadata", {}),
        "multitask_strategy": body.multitask_strategy,
        "if_not_exists": body.if_not_exists,
        "after_seconds": body.after_seconds,
        "kwargs": {"input": None, **plain},
    }
