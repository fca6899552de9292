"""The envelope of commands and their replies, on a WebSocket as over HTTP."""

from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from lineshaft.errors import Invalid
from lineshaft_api import decode

T = TypeVar("T")
ErrorCode = Literal[
    "invalid_argument", "unknown_command", "unknown_error", "no_such_run", "no_such_subscription", "no_such_interrupt",
    "resume_gap",
]  # fmt: skip


class Failure(Struct):
    """Why a command has no result. `more` are fields beside the message."""

    error: ErrorCode
    message: str
    more: dict[str, Any] = {}


class Command(Struct):
    """What a client wants. `params` are an object in JSON."""

    id: int
    method: str
    params: bytes = b"{}"


_read = decode.body(Any)


def read_command(document: bytes) -> Command:
    """The command that a document is. Raises Invalid if it is no JSON; see also `Malformed`."""
    found = _read(document)
    if not isinstance(found, dict):
        raise Malformed(None, "a command is an object")
    ident, method = found.get("id"), found.get("method")
    if not isinstance(ident, int) or isinstance(ident, bool):
        raise Malformed(None, "id: a command has an integer, which comes back with its reply")
    if not isinstance(method, str):
        raise Malformed(ident, "method: a command has one, such as run.start")
    return Command(ident, method, msgspec.json.encode(found.get("params", {})))


class Malformed(Invalid):
    """A document that is no command; `id` is the one it names all the same."""

    def __init__(self, ident: int | None, message: str) -> None:
        super().__init__(message)
        self.id = ident


def read_params(command: Command, annotation: type[T]) -> T:
    """The params of a command as this type. Raises Invalid that says where they do not fit."""
    try:
        return msgspec.json.decode(command.params, type=annotation)
    except msgspec.ValidationError as error:
        raise Invalid(f"params: {error}") from None


def reply(ident: int | None, outcome: Any, applied_through_seq: int = 0) -> bytes:
    """The reply to a command: its result, and up to which event this connection has shown; or the Failure."""
    if isinstance(outcome, Failure):
        failed = {"type": "error", "id": ident, "error": outcome.error, "message": outcome.message, **outcome.more}
        return msgspec.json.encode(failed)
    meta = {"applied_through_seq": applied_through_seq}
    return msgspec.json.encode({"type": "success", "id": ident, "result": outcome, "meta": meta})
