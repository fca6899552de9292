"""Protocol v2 over HTTP: commands one by one, and events as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Raw

from lineshaft.errors import BadRequest, Invalid
from lineshaft.events.log import Entry
from lineshaft_api import decode, sse
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.sight import sees_thread
from lineshaft_api.follow import quietly
from lineshaft_api.operation import Operation, ThreadId, operation

from .commands import NoSession, carry_out
from .envelope import Failure, Malformed, read_command, reply
from .event import Event
from .filter import CHANNELS, Filter, read_filter, whole_number
from .reading import find_start, follow_events

_TAGS = ("Protocol v2",)
_JSON = {"Content-Type": "application/json"}

# Bodies that are refused in the protocol's own way.
CommandBody = Annotated[
    Raw,
    Meta(
        extra={"undecoded": True},
        extra_json_schema={
            "type": "object",
            "required": ["id", "method"],
            "properties": {
                "id": {"type": "integer", "description": "Comes back with the reply."},
                "method": {"type": "string", "examples": ["run.start"]},
                "params": {"type": "object"},
            },
        },
    ),
]
EventsBody = Annotated[
    Raw,
    Meta(
        extra={"undecoded": True},
        extra_json_schema={
            "type": "object",
            "required": ["channels"],
            "properties": {
                "channels": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": f"Some of {', '.join(CHANNELS)} and custom:<name>.",
                },
                "namespaces": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
                "depth": {"type": "integer", "description": "Levels below these namespaces; all, if it is left out."},
                "since": {"type": "integer", "description": "The `seq` of the last event that was seen."},
            },
        },
    ),
]
_read_document = decode.body(Any)


@operation(
    "POST",
    "/threads/{thread_id}/commands",
    errors=(400, 503),
    tags=_TAGS,
    media="application/json",
    scope="read",
    access=ITSELF,
)
async def post_command(request: web.Request, thread_id: ThreadId, body: CommandBody) -> web.Response:
    """Send a command of protocol v2: `run.start`, `input.respond` and others.

    A command that fails has status 200 and a reply of type `error`; what is no command at all is refused with 400.
    """
    try:
        command = read_command(bytes(body))
    except Malformed as error:
        return web.Response(status=400, body=reply(error.id, Failure("invalid_argument", str(error))), headers=_JSON)
    except Invalid as error:
        raise BadRequest("Invalid JSON body" if str(error) == decode.INVALID_JSON else str(error)) from None
    outcome = await carry_out(request, thread_id, NoSession(), command)
    return web.Response(body=reply(command.id, outcome), headers=_JSON)


@operation("POST", "/threads/{thread_id}/stream/events", errors=(400, 503), tags=_TAGS, scope="read", access=ITSELF)
async def stream_events(request: web.Request, thread_id: ThreadId, body: EventsBody) -> web.StreamResponse:
    """Stream the events of all runs of a thread on some channels: first those that there are, then those that come.

    The thread need not exist yet. The stream ends when it is deleted. With `since` it goes on where another stopped.
    """
    try:
        params = _read_document(bytes(body))
        wanted = read_filter(params)
    except Invalid as error:
        raise BadRequest(str(error)) from None
    await sees_thread(request, thread_id)  # whoever may read no threads at all is told so
    start = await find_start(request.app, thread_id, whole_number(params.get("since")) or 0)
    frames = _frames(follow_events(request, thread_id, start), wanted)
    return await sse.stream(request, quietly(frames), {}, with_ids=True)


async def _frames(events: AsyncGenerator[list[Event], None], wanted: Filter) -> AsyncGenerator[list[Entry], None]:
    """The events that are wanted, as what a stream sends."""
    async with aclosing(events):
        async for batch in events:
            yield [
                Entry(str(event.seq), "", 0, event.method, event.encoded(), event.seq)
                for event in batch
                if wanted.wants(event)
            ]


OPERATIONS: list[Operation] = [post_command, stream_events]
