"""Turns the parts of a request into the types that a handler's annotations name, or says in one sentence what is wrong.

A decoder is made once per operation and part; everything it raises is an `Invalid` (422).
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from multidict import MultiMapping

from lineshaft.errors import Invalid
from lineshaft.ids import canonical

INVALID_JSON = "Invalid JSON in request body"

# Levels of nesting in a body. Far above what people send, and below the 254 levels that orjson writes: whatever we
# accept can be stored, streamed and read again.
MAX_DEPTH = 200

_decode_anything = msgspec.json.Decoder().decode
# So many digits may be an integer of more than 64 bits. A search in this form takes a tenth of what a pattern takes.
_LONG_NUMBER = b"0" * 19
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
# msgspec's complaint about a float where an integer is wanted, at a path of plain field names.
_FLOAT_FOR_INT = re.compile(r"Expected `[^`]*\bint\b[^`]*`, got `float` - at `\$((?:\.\w+)+)`")


def body(annotation: Any) -> Callable[[bytes], Any]:
    """A decoder of JSON bodies. What it accepts is JSON throughout, also where the type looks at nothing.

    `Meta(extra={"undecoded": True})` marks a body that its handler decodes: its protocol has errors of its own.
    """
    if is_undecoded(annotation):
        return msgspec.Raw
    decode = msgspec.json.Decoder(annotation).decode

    def read(data: bytes) -> Any:
        document = plain(data)
        if _has_long_number(data):
            data = msgspec.json.encode(document)
        try:
            try:
                return decode(data)
            except msgspec.ValidationError as error:
                return _with_integral_floats(document, error, decode)
        except msgspec.ValidationError as error:
            raise Invalid(f"Request body: {error}") from None

    return read


def is_undecoded(annotation: Any) -> bool:
    """Whether such a body is passed on as it came."""
    metadata = getattr(annotation, "__metadata__", ())
    return any(isinstance(meta, msgspec.Meta) and "undecoded" in (meta.extra or {}) for meta in metadata)


def query(annotation: Any) -> Callable[[MultiMapping[str]], Any]:
    """A decoder of query strings: a repeated parameter is a list, `true`, `yes` and `1` are true in any case."""
    lists, flags = set(), set()
    for field in msgspec.structs.fields(annotation):
        kinds = _kinds(msgspec.inspect.type_info(field.type))
        if msgspec.inspect.ListType in kinds:
            lists.add(field.encode_name)
        elif msgspec.inspect.BoolType in kinds:
            flags.add(field.encode_name)

    def read(parameters: MultiMapping[str]) -> Any:
        values: dict[str, Any] = {}
        for name, text in parameters.items():
            if name in lists:
                values[name] = parameters.getall(name)
            elif name in flags:
                values[name] = is_true(text)
            else:
                values[name] = text
        try:
            return msgspec.convert(values, annotation, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(f"Query: {error}") from None

    return read


def path(name: str, annotation: Any) -> Callable[[str], Any]:
    """A decoder of one path parameter. `Meta(extra={"id": "thread"})` marks an id: any spelling of a UUID will do."""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and "id" in meta.extra:
            what = meta.extra["id"]
            return lambda text: canonical(text, what)
    if annotation is str:
        return str

    def read(text: str) -> Any:
        try:
            return msgspec.convert(text, annotation, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(f"Path parameter {name}: {error}") from None

    return read


def is_true(text: str) -> bool:
    """How clients spell a flag that is set."""
    return text.lower() in ("true", "yes", "1")


def plain(data: bytes) -> Any:
    """The whole body as plain values, in which integers beyond 64 bits are floats. Raises Invalid.

    A typed decoder skips unknown and raw parts without a look at what they hold (1e400, bytes that are not UTF-8), and
    they would fail later, in the middle of a run.
    """
    try:
        if not data.isascii():
            data.decode()
        document = _decode_anything(data)
    except (UnicodeDecodeError, msgspec.DecodeError):
        raise Invalid(INVALID_JSON) from None
    except RecursionError:
        raise _too_deep() from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(document):  # most bodies are known by the count
        raise _too_deep()
    if _has_long_number(data):
        try:
            # Checkpoints hold no longer integers, and official clients cannot read what is beyond a float.
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Invalid(INVALID_JSON) from None
    return document


def _has_long_number(data: bytes) -> bool:
    return _LONG_NUMBER in data.translate(_AS_ZEROS)


def _too_deep() -> Invalid:
    return Invalid(f"{INVALID_JSON}: nested too deeply (limit: {MAX_DEPTH} levels)")


def _is_deep(document: Any) -> bool:
    """Whether it has more levels than allowed; looks at one level after the other, so depth costs no stack."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if type(whole) is dict else whole)
            if type(part) is dict or type(part) is list
        ]
        if not level:
            return False
    return True


def _with_integral_floats(document: Any, error: msgspec.ValidationError, decode: Callable[[bytes], Any]) -> Any:
    """Decode once more with `1.0` taken as the integer 1 in the fields that want one; other errors are raised.

    Each round mends one named field, so there are no more rounds than fields.
    """
    while match := _FLOAT_FOR_INT.fullmatch(str(error)):
        *parents, last = match[1][1:].split(".")
        place = document
        for name in parents:
            place = place[name]
        if not place[last].is_integer():
            break
        place[last] = int(place[last])
        try:
            return decode(msgspec.json.encode(document))
        except msgspec.ValidationError as next_error:
            error = next_error
    raise error


def _kinds(info: msgspec.inspect.Type) -> set[type[msgspec.inspect.Type]]:
    if isinstance(info, msgspec.inspect.Metadata):
        return _kinds(info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        return set().union(*(_kinds(part) for part in info.types))
    return {type(info)}
