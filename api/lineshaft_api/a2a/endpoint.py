"""/a2a/{assistant_id} and agent cards: the JSON-RPC binding of Agent2Agent, versions 0.3 and 1.0."""

import contextlib
from typing import Any, Literal, cast

from aiohttp import web
from msgspec import UNSET, Struct

from lineshaft.assistants.assistant import Assistant, AssistantStore
from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.errors import BadRequest, Conflict, Invalid, LineshaftError, NotFound
from lineshaft.events.log import Entry
from lineshaft.ids import canonical
from lineshaft_api import jsonrpc, sse
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.sight import check_assistant
from lineshaft_api.context import CLIENT
from lineshaft_api.follow import Batches
from lineshaft_api.jsonrpc import Call, Code
from lineshaft_api.operation import AssistantId, Operation, operation
from lineshaft_api.waiting import LateResponse

from . import sending, tasks, v1
from .card import card
from .message import Send
from .task import Event, Task

_TAGS = ("A2A",)
_CODES: dict[type[LineshaftError], int] = {
    Invalid: Code.INVALID_PARAMS,
    BadRequest: Code.INVALID_PARAMS,
    NotFound: -32001,  # the protocol's TaskNotFound
    Conflict: -32002,  # and TaskNotCancelable
}
What = Literal["send", "stream", "resubscribe", "get", "cancel", "list", "card"]
# What each method does, and whether it speaks 1.0.
_METHODS: dict[str, tuple[What, bool]] = {
    "message/send": ("send", False),
    "message/stream": ("stream", False),
    "tasks/resubscribe": ("resubscribe", False),
    "tasks/get": ("get", False),
    "tasks/cancel": ("cancel", False),
    "SendMessage": ("send", True),
    "SendStreamingMessage": ("stream", True),
    "SubscribeToTask": ("resubscribe", True),
    "GetTask": ("get", True),
    "CancelTask": ("cancel", True),
    "ListTasks": ("list", True),
    "GetExtendedAgentCard": ("card", True),
}


class CardQuery(Struct):
    """Whose card: the UUID of an assistant."""

    assistant_id: str = ""


@operation(
    "POST", "/a2a/{assistant_id}", errors=(400,), tags=_TAGS, media="application/json", scope="read", access=ITSELF
)
async def post_a2a(request: web.Request, assistant_id: str, body: jsonrpc.Body) -> web.StreamResponse:
    """Speak Agent2Agent with an assistant, in version 0.3 or 1.0 by the name of the method.

    A context is a thread, a task a run. `message/stream` and `tasks/resubscribe` (`SendStreamingMessage`,
    `SubscribeToTask`) answer with server-sent events, all others with JSON. Errors of the protocol have status 200 and
    an `error` in the body; for a wrong Accept header it is 400, with the reason as text in `error`.
    """
    try:
        found = jsonrpc.document(body)
    except Invalid as error:
        return _reply(None, jsonrpc.Failure(Code.PARSE_ERROR, str(error)))
    try:
        call = jsonrpc.call(found)
    except Invalid as error:
        return _reply(_id_of(found), jsonrpc.Failure(Code.INVALID_REQUEST, str(error)))
    if call.method is UNSET or call.id is UNSET or call.id is None:
        says = "Not a call: it must have a method and an id (notifications are not known here)"
        return _reply(_id_of(found), jsonrpc.Failure(Code.INVALID_REQUEST, says))
    if call.method not in _METHODS:
        known = ", ".join(_METHODS)
        says = f"Method not found: {call.method}. There are {known}"
        return _reply(call.id, jsonrpc.Failure(Code.METHOD_NOT_FOUND, says))
    what, is_v1 = _METHODS[call.method]
    wanted = "text/event-stream" if what in {"stream", "resubscribe"} else "application/json"
    # The official client leaves the header to its HTTP library, which takes anything.
    if not {wanted, wanted.partition("/")[0] + "/*", "*/*"} & (jsonrpc.accepts(request) or {"*/*"}):
        return jsonrpc.refuse(f"Not Acceptable: the Accept header must name {wanted} for {call.method}")
    response = LateResponse(request)
    outcome: Any
    try:
        assistant = await _assistant(request, assistant_id)
        if wanted == "text/event-stream":
            if what == "stream":
                going = await sending.begin(request, assistant, jsonrpc.params(call.params, Send), watched=True)
            else:
                query = jsonrpc.params(call.params, tasks.TaskQuery)
                going = await tasks.follow(request, assistant.assistant_id, query)
            return await sse.stream(request, _frames(request, call, going, is_v1=is_v1), {}, with_ids=False)
        outcome = await _answer(request, assistant, what, call, response)
        if isinstance(outcome, Task) and is_v1:
            outcome = v1.event(outcome) if what == "send" else v1.task(outcome)
    except LineshaftError as error:
        outcome = jsonrpc.failure(error, _CODES)
    return await response.send(jsonrpc.envelope(call.id, outcome))


@operation("GET", "/.well-known/agent-card.json", errors=(400, 404), tags=_TAGS, access=ITSELF)
async def get_agent_card(request: web.Request, query: CardQuery) -> dict[str, Any]:
    """Describe an assistant as an agent."""
    try:
        assistant_id = canonical(query.assistant_id, "assistant")
    except Invalid:
        raise BadRequest("Name the agent by the UUID of its assistant: ?assistant_id=<uuid>") from None
    await check_assistant(request, assistant_id, "read", {})
    return await _card(request, await AssistantStore(request.app[CLIENT]).get(assistant_id))


@operation("GET", "/a2a/{assistant_id}/.well-known/agent-card.json", errors=(404,), tags=_TAGS)
async def get_card_of_agent(request: web.Request, assistant_id: AssistantId) -> dict[str, Any]:
    """The same card, where clients look that know an agent by its address."""
    return await _card(request, await AssistantStore(request.app[CLIENT]).get(assistant_id))


async def _answer(request: web.Request, assistant: Assistant, what: What, call: Call, response: LateResponse) -> Any:
    if what == "card":
        return await _card(request, assistant)
    if what == "list":
        return await tasks.page(request, assistant.assistant_id, jsonrpc.params(call.params, tasks.TaskListQuery))
    if what == "send":
        asked = jsonrpc.params(call.params, Send)
        waits = asked.configuration.waits
        going = await sending.begin(request, assistant, asked, watched=not waits)
        return await sending.wait(request, going, response) if waits else going.shown
    act = tasks.get if what == "get" else tasks.stop
    return await act(request, assistant.assistant_id, jsonrpc.params(call.params, tasks.TaskQuery))


async def _frames(request: web.Request, call: Call, going: sending.Going, *, is_v1: bool) -> Batches:
    """The events of a task, each in an envelope, as entries for a stream."""

    def entry(shown: Event | jsonrpc.Failure) -> Entry:
        result = v1.event(shown) if is_v1 and not isinstance(shown, jsonrpc.Failure) else shown
        return Entry("", "", 0, "message", jsonrpc.envelope(call.id, result), 0)

    try:
        async with contextlib.aclosing(sending.events(request, going)) as events:
            async for batch in events:
                yield [entry(event) for event in batch]
    except LineshaftError as error:  # the thread was deleted: the stream has begun, so this is its last event
        yield [entry(jsonrpc.failure(error, _CODES))]


async def _card(request: web.Request, assistant: Assistant) -> dict[str, Any]:
    return card(request, assistant, await GraphRegistry(request.app[CLIENT]).get(assistant.graph_id))


async def _assistant(request: web.Request, assistant_id: str) -> Assistant:
    """Raises Invalid, also for an unknown one: what the protocol calls not found is a task."""
    try:
        found = canonical(assistant_id, "assistant")
        await check_assistant(request, found, "read", {})
        return await AssistantStore(request.app[CLIENT]).get(found)
    except NotFound as error:
        raise Invalid(str(error)) from None


def _id_of(found: Any) -> jsonrpc.Id:
    """The id of what is no call otherwise, so that its sender knows which one is meant."""
    given = found.get("id") if isinstance(found, dict) else None
    return cast(jsonrpc.Id, given) if isinstance(given, (str, int)) else None


def _reply(call_id: jsonrpc.Id, outcome: Any) -> web.Response:
    return web.Response(body=jsonrpc.envelope(call_id, outcome), headers={"Content-Type": "application/json"})


OPERATIONS: list[Operation] = [post_a2a, get_agent_card, get_card_of_agent]
