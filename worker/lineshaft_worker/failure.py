"""What an exception of a graph becomes: a word to callers, and all of it to operators."""

import traceback
from typing import Any

from langgraph.errors import InvalidUpdateError
from pydantic_core import ValidationError

from lineshaft.errors import LineshaftError

from .encoding import error_json, to_json

# To callers, in place of what an exception says (LINESHAFT_MASK_ERRORS).
NEUTRAL = {"error": "RunFailed", "message": "The run failed. Its operators can see why."}
# Characters of a stack that are kept. Its end says where it happened; recursion makes it as long as it likes.
_STACK = 20_000
# What these say is made of the values that they refuse.
_QUOTING = (InvalidUpdateError, ValidationError)


def told(error: BaseException, *, masked: bool) -> bytes:
    """`{"error", "message"}` in JSON, as callers get it. What we say ourselves is meant for them, also `masked`."""
    return to_json(NEUTRAL) if masked and not isinstance(error, LineshaftError) else error_json(error)


def kept(error: BaseException) -> bytes:
    """`{"error", "message", "stack"}` in JSON, as operators find it in the run's record."""
    stack = "".join(traceback.format_exception(error))
    return error_json(error)[:-1] + b',"stack":' + to_json(stack[-_STACK:]) + b"}"


def logged(error: BaseException) -> str:
    """Its stack for the log, without the values that langgraph and Pydantic quote: those are a caller's input."""
    text = "".join(traceback.format_exception(error))
    todo: list[BaseException | None] = [error]
    for each in todo:
        if each is None:
            continue
        if isinstance(each, _QUOTING):
            text = text.replace(str(each), "(values left out)")
        todo += [other for other in (each.__cause__, each.__context__) if other not in todo]
    return text.rstrip("\n")


def without_errors(mode: str, payload: Any) -> Any:
    """What a stream mode tells of tasks, less what their exceptions say."""
    if mode == "debug":
        kinds = {"task_result": "tasks", "checkpoint": "checkpoints"}
        return {**payload, "payload": without_errors(kinds.get(payload["type"], ""), payload["payload"])}
    if mode == "tasks" and payload.get("error"):
        return {**payload, "error": NEUTRAL}
    if mode == "checkpoints":
        return {**payload, "tasks": [without_errors("tasks", task) for task in payload["tasks"]]}
    if mode == "events" and "error" in payload.get("data", ()):
        return {**payload, "data": {**payload["data"], "error": NEUTRAL}}
    return _without_errors_of_v2(mode, payload)


def _without_errors_of_v2(mode: str, payload: Any) -> Any:
    """The same for what only protocol v2 tells: graphs within graphs, tools, calls of models."""
    if mode == "lifecycle" and payload.get("error"):
        return {**payload, "error": NEUTRAL["message"]}
    if mode == "tools" and payload["event"] == "tool-error":
        return {**payload, "message": NEUTRAL["message"]}
    if mode == "messages" and isinstance(payload[0], dict) and payload[0]["event"] == "error":
        return ({**payload[0], "message": NEUTRAL["message"]}, *payload[1:])
    return payload
