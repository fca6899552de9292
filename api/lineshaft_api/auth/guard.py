"""Stands before every handler: looks whether the objects that a path names are there for the caller.

Values that authorization changes go on to the handler in the decoded body: metadata to store, filters of searches.
"""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET

from lineshaft.access.visibility import Visible, restrict
from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.errors import Conflict, Invalid, NotFound
from lineshaft.ids import canonical, system_assistant
from lineshaft.runs.run import RunStore
from lineshaft_api.context import CLIENT

from . import sight
from .access import Access
from .caller import CALLER

Arguments = dict[str, Any]
Check = Callable[[Any], None]  # of what the handler has answered

# The metadata filter of a search without a body, which has nothing to put it into: `request.get(FOUND, {})`.
FOUND: web.RequestKey[dict[str, Any]] = web.RequestKey("FOUND", dict)


async def admit(request: web.Request, access: Access, arguments: Arguments) -> Check | None:
    """Returns what is to be checked of the answer. Raises NotFound, Conflict, Forbidden, and what handlers raise."""
    query = arguments.get("query")
    if getattr(query, "cancel_on_disconnect", False):
        request[CALLER].require("write")  # who may only read must not end a run by closing a connection
    if not request[CALLER].is_limited:
        return None
    value = _fields(arguments.get("body"), query)
    # The graph of an assistant, or the one that a thread is to have.
    graph_id = value.get("graph_id") or (value.get("metadata") or {}).get("graph_id")
    if not request[CALLER].may_use(graph_id):
        raise NotFound(f"Graph {graph_id!r} not found")
    match access.action:
        case "create":
            return await _create(request, access, arguments, value)
        case "search":
            await _search(request, access, arguments, value)
        case "prune":
            await _prune(request, arguments)
        case "copy":
            await _copy(request, arguments["thread_id"])
        case _:
            await _object(request, access, arguments, value)
            _write_back(arguments, value)
            if getattr(query, "cancel_on_disconnect", False):
                await _object(request, Access("threads", "update"), arguments, {})
    return None


async def _object(request: web.Request, access: Access, arguments: Arguments, value: dict[str, Any]) -> None:
    """One that is there already."""
    run_id = arguments.get("run_id", "")
    if access.resource == "crons":
        await sight.check_cron(request, arguments["cron_id"], access.action, value)
    elif access.resource == "assistants":
        await sight.check_assistant(request, await _named(request, arguments["assistant_id"]), access.action, value)
    elif "thread_id" in arguments:
        value["thread_id"] = uuid.UUID(arguments["thread_id"])
        if run_id:
            value["run_id"] = uuid.UUID(run_id)
        await sight.check_thread(request, arguments["thread_id"], access.action, value, run_id=run_id)
    else:
        thread_id = await RunStore(request.app[CLIENT]).find(run_id)
        try:
            await sight.check_thread(request, thread_id, access.action, run_id=run_id)
        except NotFound:  # it would tell the thread's id
            raise NotFound(f"Run with ID {run_id} not found") from None


async def _create(request: web.Request, access: Access, arguments: Arguments, value: dict[str, Any]) -> Check | None:
    body, resource = arguments["body"], access.resource
    value.setdefault("metadata", {})
    visible = await sight.authorize(request, resource, "create", value)
    _write_back(arguments, value)
    if resource == "crons" or visible is None:
        return None
    given = getattr(body, "thread_id" if resource == "threads" else "assistant_id")
    if given is UNSET:
        return None
    taken = Conflict(f"{'Thread' if resource == 'threads' else 'Assistant'} {given} already exists")
    metadata = await _existing(request, resource, given)
    if metadata is not None and not visible.sees(metadata):
        raise taken
    if body.if_exists != "do_nothing":
        return None

    def still_theirs(answer: Any) -> None:
        # Somebody else may have made one of this id since.
        if not visible.sees(sight.searched(answer) if resource == "assistants" else answer.metadata):
            raise taken

    return still_theirs


async def _existing(request: web.Request, resource: str, given: str) -> dict[str, Any] | None:
    try:
        if resource == "threads":
            return await sight.metadata_of(request, canonical(given, "thread"))
        return sight.searched(await AssistantStore(request.app[CLIENT]).get(canonical(given, "assistant")))
    except (Invalid, NotFound):  # the handler says what is wrong with it
        return None


async def _search(request: web.Request, access: Access, arguments: Arguments, value: dict[str, Any]) -> None:
    value.setdefault("metadata", {})
    visible = await sight.authorize(request, access.resource, "search", value)
    wanted = restrict(value.get("metadata") or {}, visible)
    if "body" in arguments:
        arguments["body"].metadata = wanted
    else:
        request[FOUND] = wanted


async def _prune(request: web.Request, arguments: Arguments) -> None:
    """All of them or none: what is skipped or refused must not tell which exist."""
    ids = [canonical(thread_id, "thread") for thread_id in arguments["body"].thread_ids]
    visible = await sight.authorize(request, "threads", "delete", {"thread_ids": [uuid.UUID(i) for i in ids]})
    seen: set[str] | None = None if visible is None else await sight.seen_threads(request, visible, ids)
    for thread_id in dict.fromkeys(ids):
        if seen is not None and thread_id not in seen:
            raise NotFound(f"Thread with ID {thread_id} not found")
        await sight.check_thread(request, thread_id, "delete")


async def _copy(request: web.Request, thread_id: str) -> None:
    """The copy has the metadata of the original, so it is its owner's too."""
    visible = await sight.authorize(request, "threads", "read", {"thread_id": uuid.UUID(thread_id)})
    may_make = await sight.authorize(request, "threads", "create", {"thread_id": uuid.UUID(thread_id), "metadata": {}})
    conditions: list[Visible] = [one for one in (visible, may_make) if one is not None]
    if conditions:
        metadata = await sight.metadata_of(request, thread_id)
        if metadata is None or not all(one.sees(metadata) for one in conditions):
            raise Conflict(f"Thread with ID {thread_id} not found")


async def _named(request: web.Request, assistant_id: str) -> str:
    """An assistant's id, of a path that may name its graph in place of it."""
    try:
        return canonical(assistant_id, "assistant")
    except Invalid:
        if await GraphRegistry(request.app[CLIENT]).get(assistant_id) is None:
            raise
        return system_assistant(assistant_id)


def _fields(body: Any, query: Any) -> dict[str, Any]:
    """What a request says, as handlers get it: plain values, without what was left out."""
    found: dict[str, Any] = {}
    for part in (query, body):
        if isinstance(part, msgspec.Struct):
            found |= msgspec.json.decode(msgspec.json.encode(part))
    return found


def _write_back(arguments: Arguments, value: dict[str, Any]) -> None:
    body = arguments.get("body")
    if isinstance(body, msgspec.Struct) and "metadata" in body.__struct_fields__ and "metadata" in value:
        body.metadata = value["metadata"]  # type: ignore[attr-defined]  # it has this field
