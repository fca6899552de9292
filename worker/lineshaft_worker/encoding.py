"""Python objects of a graph as JSON. Whatever a node returns must reach the client in some form: nothing here raises.

orjson writes dicts, dataclasses, enums, datetimes and UUIDs by itself; what it cannot write comes to `plain`.
"""

import base64
import dataclasses
import math
from collections import deque
from enum import Enum
from typing import Any

import orjson
from langchain_core.messages import BaseMessage
from langgraph.types import Interrupt, Send
from pydantic import BaseModel


def to_json(value: Any) -> bytes:
    """Compact JSON on one line."""
    try:
        return orjson.dumps(value, plain)
    except (TypeError, RecursionError):
        pass
    try:
        return orjson.dumps(value, plain, orjson.OPT_NON_STR_KEYS)
    except (TypeError, RecursionError):
        # Integers beyond 64 bits, lone surrogates, tuples as keys, very deep nesting, what contains itself, a user's
        # method that fails: rare, so this may be slow.
        return orjson.dumps(_repair(value, ()))


def interrupt(value: Interrupt) -> dict[str, Any]:
    """An interrupt as threads and states show it; live events (orjson writes them) always have `response_schema`."""
    shown = {"id": value.id, "value": value.value}
    return shown if value.response_schema is None else {**shown, "response_schema": value.response_schema}


def error_json(error: BaseException) -> bytes:
    """`{"error": <class name>, "message": <text>}`."""
    return to_json(_error(error))


def _error(error: BaseException) -> dict[str, str]:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a user's __str__
        message = ""
    return {"error": type(error).__name__, "message": message}


def plain(value: Any) -> Any:
    """What orjson cannot write by itself, as something that it can."""
    if isinstance(value, BaseMessage):
        # For langchain's own classes the attributes are the wire form, and ten times cheaper than a dump. A user's
        # subclass may have serializers.
        if type(value).__module__.startswith("langchain_core."):
            extra = value.__pydantic_extra__
            return {**value.__dict__, **extra} if extra else value.__dict__
        return value.model_dump()
    if isinstance(value, BaseModel):
        return _dumped(value)
    if isinstance(value, Send):
        return {"node": value.node, "input": value.arg}
    if isinstance(value, BaseException):
        return _error(value)
    if isinstance(value, set | frozenset | deque):
        return list(value)
    if isinstance(value, tuple):
        as_dict = getattr(value, "_asdict", None)
        return as_dict() if as_dict else list(value)
    if isinstance(value, float):
        return float(value)  # orjson takes no subclass, numpy's float64 for one
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    for name in ("to_dict", "model_dump", "dict", "tolist"):  # `tolist`: numbers and arrays of numpy
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            try:
                return method()
            except Exception:  # noqa: BLE001 - a user's method; its repr is better than no event
                break
    return _text(value)


def _dumped(value: BaseModel) -> Any:
    try:
        return value.model_dump()
    except Exception:  # noqa: BLE001 - a user's serializer; the attributes are better than no event
        return dict(value.__dict__)


def _text(value: Any) -> str:
    try:
        return _valid(repr(value))
    except Exception:  # noqa: BLE001 - a user's __repr__
        return f"<{type(value).__name__}>"


def _repair(value: Any, above: tuple[int, ...]) -> Any:
    """The same value in what orjson writes; text in place of what cannot be.

    `above` has the ids of all that it is part of: what contains itself has no end. Beyond 200 levels (orjson's limit
    is 254) there is only text, too.
    """
    if id(value) in above or len(above) > 200:
        return _text(value)
    try:
        return _plain(value, (*above, id(value)))
    except Exception:  # noqa: BLE001 - a user's method; its repr is better than no event
        return _text(value)


def _plain(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _valid(value)
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): _repair(item, above) for key, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
        return [_repair(item, above) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _repair(getattr(value, f.name, None), above) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return _repair(value.value, above)
    try:
        return orjson.loads(orjson.dumps(value))  # datetimes, UUIDs
    except (TypeError, orjson.JSONDecodeError):
        return _repair(plain(value), above)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _valid(key)
    try:
        [name] = orjson.loads(orjson.dumps({key: None}, option=orjson.OPT_NON_STR_KEYS))
    except TypeError:
        return _text(key)
    return str(name)


def _valid(text: str) -> str:
    """A lone half of a surrogate pair has no place in UTF-8."""
    return text.encode("utf-8", "replace").decode()
