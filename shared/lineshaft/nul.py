"""NUL (U+0000) in what clients send: replaced where it is only shown, refused where graphs look for names."""

from collections.abc import Iterable
from typing import Any

from .errors import Invalid


def replaced(value: Any) -> Any:
    """The same JSON value with U+FFFD for each NUL, in keys too."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [replaced(part) for part in value]
    if isinstance(value, dict):
        return {key.replace("\0", "\ufffd"): replaced(part) for key, part in value.items()}
    return value


def refuse_in_keys(*mappings: Iterable[str]) -> None:
    """Raises Invalid if a key of a config, its configurable or a context has NUL."""
    if any("\0" in key for mapping in mappings for key in mapping):
        raise Invalid("A key of config or context contains NUL")
