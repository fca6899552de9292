"""The envelope of JSON-RPC 2.0, in which MCP and A2A carry their calls. What can be called is theirs."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.errors import Invalid, LineshaftError, Unavailable

from . import decode

T = TypeVar("T")
Id = str | int | None

# A body that its handler reads with `document` and `call`: what is wrong with it is answered in the protocol's own way.
Body = Annotated[
    Raw,
    Meta(
        extra={"undecoded": True},
        extra_json_schema={
            "type": "object",
            "required": ["jsonrpc", "method"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": ["string", "integer"], "description": "Comes back with the answer."},
                "method": {"type": "string"},
                "params": {"type": "object"},
            },
        },
    ),
]


class Code(IntEnum):
    """The codes of JSON-RPC itself."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603


class Call(Struct):
    """A message from a client. Without an id it is a notification, without a method a response."""

    id: Id | UnsetType
    method: str | UnsetType
    params: Any


class Failure(Struct, omit_defaults=True):
    """Why there is no result."""

    code: int
    message: str
    data: Any = None


class _Message(Struct):
    jsonrpc: str | UnsetType = UNSET
    id: Id | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Any = None


_read_document = decode.body(Any)


def document(body: Raw) -> Any:
    """The JSON of a body. Raises Invalid."""
    return _read_document(bytes(body))


def call(found: Any) -> Call:
    """The one message that a body is. Raises Invalid."""
    if isinstance(found, list):
        raise Invalid("Batches of messages are not supported: send each in a request of its own")
    try:
        message = msgspec.convert(found, _Message)
    except msgspec.ValidationError as error:
        raise Invalid(f"Not a JSON-RPC message: {error}") from None
    if message.jsonrpc != "2.0":
        raise Invalid('Not a JSON-RPC message: it must have "jsonrpc": "2.0"')
    return Call(message.id, message.method, message.params)


def params(given: Any, annotation: type[T]) -> T:
    """The params of a call as this type; none are an empty object. Raises Invalid that says where they do not fit."""
    try:
        return msgspec.convert({} if given is None else given, annotation)
    except msgspec.ValidationError as error:
        raise Invalid(f"params: {error}") from None


def failure(error: LineshaftError, codes: Mapping[type[LineshaftError], int]) -> Failure:
    """One of our errors as a protocol shows it. Those without a code are the server's affair, not the caller's."""
    code = next((codes[kind] for kind in type(error).__mro__ if kind in codes), Code.INTERNAL_ERROR)
    data = {"retryAfter": error.retry_after} if isinstance(error, Unavailable) else None
    return Failure(code, str(error), data)


def envelope(call_id: Id | UnsetType, outcome: Any) -> bytes:
    """The answer to a call: its result, or the Failure."""
    name = "error" if isinstance(outcome, Failure) else "result"
    # None, where nobody could read an id.
    return msgspec.json.encode({"jsonrpc": "2.0", "id": None if call_id is UNSET else call_id, name: outcome})


def accepts(request: web.Request) -> set[str]:
    """The media types of the request's Accept header, without their parameters."""
    header = ",".join(request.headers.getall("Accept", []))
    return {part.partition(";")[0].strip().lower() for part in header.split(",")} - {""}


def refuse(text: str) -> web.Response:
    """Answer a request that cannot be taken for a call at all (400)."""
    return web.Response(
        status=400, body=msgspec.json.encode({"error": text}), headers={"Content-Type": "application/json"}
    )
