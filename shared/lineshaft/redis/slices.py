"""Large values, which are kept in slices: while Redis copies one value it does nothing else, for anybody."""

import os
from typing import Any

from lineshaft.errors import TooLarge

from .client import Client

# A larger value is not passed through a script, or returned among others, in one piece.
INLINE_BYTES = 256 * 1024
SLICE_BYTES = 1024 * 1024  # a millisecond of Redis, or less
# Of one answer: whoever asks, and whoever answers, holds all of it at once.
ANSWER_BYTES = 128 * 1024 * 1024
_READ_AT_ONCE = 4  # slices


class Allowance:
    """What one answer may still hold."""

    def __init__(self) -> None:
        self._left = ANSWER_BYTES

    def take(self, size: int) -> None:
        """Raises TooLarge when it comes to more than an answer may hold."""
        self._left -= size
        if self._left < 0:
            raise TooLarge(f"The answer would have more than {ANSWER_BYTES >> 20} MiB: ask for fewer at once")


def cut(data: bytes) -> list[bytes]:
    """The slices of a value."""
    return [data[i : i + SLICE_BYTES] for i in range(0, len(data), SLICE_BYTES)]


def keep(client: Client, data: bytes, ttl: int) -> tuple[list[tuple[Any, ...]], str]:
    """Commands that keep a value apart for `ttl` seconds, and the id under which it is then (`Keys.blob`).

    A full Redis runs them too: a run must be able to end.
    """
    blob_id, script = os.urandom(12).hex(), client.scripts["blob_slice"]
    rows = [
        script.encode({"blob_id": blob_id, "number": number, "ttl": ttl, "slice": piece})
        for number, piece in enumerate(cut(data))
    ]
    # EVAL, not EVALSHA: a restarted Redis would not know the script, and its source is nothing beside a slice.
    return [("EVAL", script.source, 0, *argv) for argv in rows], blob_id


def slices_of(value_id: bytes) -> range:
    """The numbers of the slices of a checkpoint's large value, which its id tells."""
    return range(int(value_id.rpartition(b".")[2]))


async def whole(client: Client, key: str, first: int = 0) -> bytes:
    """What a list of slices holds from slice `first` on, read some at a time; empty if there is none."""
    pieces: list[bytes] = []
    while True:
        place = first + len(pieces)
        page = await client.command("LRANGE", key, place, place + _READ_AT_ONCE - 1)
        pieces += page
        if len(page) < _READ_AT_ONCE:
            return b"".join(pieces)
