"""Searching by metadata: what a filter means, what of metadata is indexed, and the pages that searches answer with.

A filter is containment: objects recursively, everything else by equality. Its scalars are looked up as *leaves*
(`path=value`) in sets of ids; what has no leaf is compared with the metadata itself.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

MAX_LEAVES = 16  # per thread, where each costs an entry in a set, about 90 bytes; and per filter
PARTIAL = "*"  # marks a thread whose metadata has more leaves than that
_MAX_DEPTH = 3
_MAX_STRING = 128  # bytes; longer text is hardly what people filter by
_MAX_LEAF = 64  # bytes of a leaf as it is; a longer one is its digest
# A thread's hash has these two beside the metadata, and the scripts index them from there.
_NAMES = {("graph_id",), ("assistant_id",)}

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_Path = tuple[str, ...]


class Restricted(dict[str, Any]):
    """A metadata filter with a condition of the server's: what a client wishes beside it cannot widen it."""

    def __init__(self, wanted: dict[str, Any], sees: Callable[[dict[str, Any]], bool]) -> None:
        super().__init__(wanted)
        self.sees = sees


class Page(msgspec.Struct, Generic[T]):
    """A part of a list. `next` is the offset of the next one, None on the last."""

    rows: list[T]
    next: int | None
    total: int  # not the number of matches: how far this page proves the list to go, which is what clients expect


def page(rows: list[T], limit: int, offset: int) -> Page[T]:
    """The page made of `rows`, which begin at `offset` and are one more than `limit` if there is another page."""
    if len(rows) > limit:
        return Page(rows[:limit], offset + limit, offset + limit + 1)
    return Page(rows, None, offset + len(rows))


def index_leaves(metadata: dict[str, Any]) -> list[str]:
    """The leaves under which a thread is found; PARTIAL among them if there are more than are indexed."""
    found = [_leaf(path, value) for path, value in _scalars(metadata) if _is_indexed(path, value)]
    return found if len(found) <= MAX_LEAVES else [*found[:MAX_LEAVES], PARTIAL]


def filter_leaves(wanted: dict[str, Any]) -> tuple[list[str], bool]:
    """The leaves that a match must have, and whether they say all that the filter says.

    No more than MAX_LEAVES, however long the filter: scripts ask the set of each, and hold Redis up meanwhile.
    """
    leaves: list[str] = []
    complete = not isinstance(wanted, Restricted)
    for path, value in _scalars(wanted):
        if path in _NAMES and isinstance(value, str):
            leaves.append(f'{path[0]}="{value}"')
        elif _is_indexed(path, value):
            leaves.append(_leaf(path, value))
        else:
            complete = False
    return leaves[:MAX_LEAVES], complete and len(leaves) <= MAX_LEAVES


def contains(document: Any, wanted: Any) -> bool:
    """Whether `document` has everything that `wanted` has."""
    if isinstance(wanted, dict):
        if not isinstance(document, dict) or (isinstance(wanted, Restricted) and not wanted.sees(document)):
            return False
        return all(key in document and contains(document[key], value) for key, value in wanted.items())
    return equal(document, wanted)


def equal(a: Any, b: Any) -> bool:
    """Equality of JSON values: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(value, b[key]) for key, value in a.items())
    return bool(a == b)


def _scalars(value: Any, path: _Path = ()) -> list[tuple[_Path, Any]]:
    """Every value below an object that is not itself a filled object, with its path."""
    if isinstance(value, dict) and (value or not path):
        return [pair for key, part in value.items() for pair in _scalars(part, (*path, key))]
    return [(path, value)]


def _is_indexed(path: _Path, value: Any) -> bool:
    if len(path) > _MAX_DEPTH or path in _NAMES or isinstance(value, list | dict):
        return False
    return not isinstance(value, str) or len(value.encode()) <= _MAX_STRING


def _leaf(path: _Path, value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    keys = [key if _PLAIN_KEY.fullmatch(key) else _json(key) for key in path]
    text = f"{'.'.join(keys)}={_json(value)}"
    if len(text.encode()) <= _MAX_LEAF and " " not in text:  # scripts keep a thread's leaves joined by spaces
        return text
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
