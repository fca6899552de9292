"""Messages posted to a thread: they rest in its inbox until a run takes them as its input."""

import uuid
from typing import Any, Literal, TypedDict, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from lineshaft.errors import Invalid, NotFound, TooLarge
from lineshaft.redis.client import Client
from lineshaft.search import Page, page

from .state import unpack_state

# Bytes of one message, and of all that wait on a thread: the script that gives them to a run moves them at once.
_LARGEST, _MOST = 1024 * 1024, 8 * 1024 * 1024

Role = Literal["user", "human", "assistant", "ai", "system", "tool"]
Content = str | list[str | dict[str, Any]]
# LangChain's message types, by the roles that clients send, and the role that each is shown with.
_TYPES = {"user": "human", "human": "human", "assistant": "ai", "ai": "ai", "system": "system", "tool": "tool"}
_ROLES = {"human": "user", "ai": "assistant"}


class NewMessage(Struct, kw_only=True, omit_defaults=True):
    """A message to post."""

    role: Role
    content: Content
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET  # of an assistant, in LangChain's form or OpenAI's
    tool_call_id: str | UnsetType = UNSET  # of a tool: which call this answers
    status: Literal["success", "error"] | UnsetType = UNSET  # of a tool
    additional_kwargs: dict[str, Any] | UnsetType = UNSET


class _ToolCall(Struct, forbid_unknown_fields=True):
    """A tool call in LangChain's form."""

    name: str
    args: dict[str, Any]
    id: str | None
    type: Any = None
    extras: Any = None


class _Function(Struct):
    name: str
    arguments: str | dict[str, Any]


class _FunctionCall(Struct):
    """A tool call in OpenAI's form, which LangChain turns into its own."""

    id: str | None
    function: _Function


class Message(TypedDict):
    """A message of a thread. Other fields of its type, such as `tool_calls`, stand beside these."""

    id: str | None
    role: str  # user, assistant, system, tool, else LangChain's type
    type: str
    content: Content


class _Values(Struct):
    messages: Raw = Raw(b"null")


class _State(Struct):
    values: _Values | None = None


class MessageStore:
    """The messages of threads in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def post(self, thread_id: str, message: NewMessage) -> Message:
        """Put a message into the thread's inbox; the next run without an input takes it.

        Raises NotFound, Invalid, TooLarge, and TooMany if the inbox is full.
        """
        if message.role == "tool" and message.tool_call_id is UNSET:
            raise Invalid("A message with role 'tool' needs a tool_call_id")
        if _TYPES[message.role] == "ai" and message.tool_calls is not UNSET:
            _check_tool_calls(message.tool_calls)
        sent = msgspec.to_builtins(message)
        stored = {
            "type": _TYPES[sent.pop("role")],
            "content": sent.pop("content"),
            "id": sent.pop("id", None) or str(uuid.uuid4()),
            **sent,
        }
        encoded = msgspec.json.encode(stored)
        if len(encoded) > _LARGEST:
            raise TooLarge(
                f"The message has {len(encoded)} bytes (limit: {_LARGEST}). Give what is larger to a run as its input."
            )
        await self._client.script(
            "message_post", thread_id=thread_id, message=encoded, most=_MOST, request=str(uuid.uuid4())
        )
        return _shown(stored)

    async def list(self, thread_id: str, *, limit: int = 100, offset: int = 0) -> Page[Message]:
        """A page of the thread's messages, oldest first: those of its state, then those that wait. Raises NotFound."""
        keys = self._client.keys

        async def read() -> Any:
            # A transaction, so that a message on its way from the inbox into the state is seen once.
            pipe = self._client.redis.pipeline(transaction=True)
            pipe.exists(keys.thread(thread_id))
            pipe.hget(keys.thread_snapshot(thread_id), "state")
            pipe.lrange(keys.thread_held(thread_id), 0, -1)
            pipe.lrange(keys.thread_inbox(thread_id), 0, -1)
            return await pipe.execute()

        exists, state, held, inbox = await self._client.patiently(read, "messages")
        if not exists:
            raise NotFound(f"Thread with ID {thread_id} not found")
        state = state and await unpack_state(self._client, thread_id, state)
        every = [*_messages_of(state), *map(Raw, held), *map(Raw, inbox)]
        # Only what is shown is decoded in full.
        rows = [_shown(msgspec.json.decode(raw)) for raw in every[offset : offset + limit + 1]]
        return page(rows, limit, offset)


def _check_tool_calls(calls: list[dict[str, Any]]) -> None:
    """Raises Invalid: LangChain would refuse such a message later, and a run fail with all messages that wait."""
    for position, call in enumerate(calls):
        try:
            if "function" in call:
                arguments = msgspec.convert(call, _FunctionCall).function.arguments
                if isinstance(arguments, str):
                    msgspec.json.decode(arguments, type=dict[str, Any])
            else:
                msgspec.convert(call, _ToolCall)
        except msgspec.DecodeError as error:
            raise Invalid(f"tool_calls[{position}]: {error}") from None


def _messages_of(state: bytes | None) -> list[Raw]:
    """The messages of a stored state. A `messages` channel that holds something else has none."""
    if state is None:
        return []
    try:
        values = msgspec.json.decode(state, type=_State).values
        rows = msgspec.json.decode(values.messages, type=list[Raw] | None) if values else None
    except msgspec.ValidationError:
        return []
    return [raw for raw in rows or [] if bytes(raw).lstrip()[:1] == b"{"]


def _shown(stored: dict[str, Any]) -> Message:
    kind = stored.get("type", "")
    shown = {
        "id": stored.get("id"),
        "role": _ROLES.get(kind, kind or stored.get("role", "")),
        "type": kind,
        "content": stored.get("content", ""),
    }
    return cast(Message, {**shown, **{name: value for name, value in stored.items() if name not in shown}})
