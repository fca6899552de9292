"""The messages of a thread: post one, read them all."""

from aiohttp import web
from msgspec import Struct

from lineshaft.threads.messages import Message, MessageStore, NewMessage
from lineshaft_api.context import CLIENT
from lineshaft_api.operation import Operation, Reply, ThreadId, operation
from lineshaft_api.paging import Limit, Offset, paged

_TAGS = ("Messages",)


class MessageListQuery(Struct, kw_only=True):
    """Which part of the messages."""

    limit: Limit = 100
    offset: Offset = 0


@operation("POST", "/threads/{thread_id}/messages", errors=(404, 429), tags=_TAGS)
async def post_message(request: web.Request, thread_id: ThreadId, body: NewMessage) -> Message:
    """Post a message to a thread.

    It waits there; the next run without an input of its own takes all that wait as its input.
    """
    return await MessageStore(request.app[CLIENT]).post(thread_id, body)


@operation("GET", "/threads/{thread_id}/messages", errors=(404,), tags=_TAGS)
async def list_messages(request: web.Request, thread_id: ThreadId, query: MessageListQuery) -> Reply[list[Message]]:
    """List a thread's messages, oldest first: those of its state, then those that wait for a run."""
    found = await MessageStore(request.app[CLIENT]).list(thread_id, limit=query.limit, offset=query.offset)
    return paged(found)


OPERATIONS: list[Operation] = [post_message, list_messages]
