"""The bytes of checkpoints: how values, headers and pending writes look in Redis.

A value is a flag byte, the serializer's type name, NUL, data. A pending write is the same with task path, NUL, channel
and NUL behind the flag. Flags: `r` as it is, `z` compressed, `s` large: what follows the last NUL names the value that
is kept in slices. `l` is reserved for lists kept item by item.
"""

import os
from collections.abc import Sequence
from typing import Any

import zstandard
from langgraph.checkpoint.base import PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from lineshaft.errors import Invalid, TooLarge
from lineshaft.redis.client import Client

RAW, COMPRESSED, LARGE = b"r", b"z", b"s"
_COMPRESS_FROM = 1024  # bytes; below it zstd saves less than it costs
_LARGE_FROM = 256 * 1024  # bytes of one value; a script with larger arguments holds up everyone else's commands
_INLINE_BYTES = 1024 * 1024  # of one put; what comes after it is kept in slices even if it is small
_SLICE_BYTES = 1024 * 1024
_MAX_BYTES = 256 * 1024 * 1024


class Codec:
    """Packs and unpacks with one serializer. For one thread: zstd's contexts are not for several."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self.serde = serde
        self._compress = zstandard.ZstdCompressor(level=3).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def pack(self, value: Any, prefix: bytes = b"") -> bytes:
        """A value; with `path NUL channel NUL` as prefix a pending write."""
        kind, data = self.serde.dumps_typed(value)
        flag = RAW
        if len(data) >= _COMPRESS_FROM:
            flag, data = COMPRESSED, self._compress(data)
        return b"%b%b%b\0%b" % (flag, prefix, kind.encode(), data)

    def unpack(self, packed: bytes) -> Any:
        """A value; a reference must have been replaced by what it names."""
        end = packed.index(b"\0")
        data = packed[end + 1 :]
        if packed[:1] == COMPRESSED:
            data = self._decompress(data)
        return self.serde.loads_typed((packed[1:end].decode(), data))

    def unpack_writes(self, fields: Sequence[bytes], writes: Sequence[bytes]) -> list[PendingWrite]:
        """Pending writes in the order in which langgraph applies them."""
        rows = []
        for field, write in zip(fields, writes, strict=True):
            task_id, _, index = field.decode().rpartition("\0")
            path, channel, rest = write[1:].split(b"\0", 2)
            key = writes_sort_key(path.decode(), task_id, int(index))
            rows.append((key, task_id, channel.decode(), write[:1] + rest))
        rows.sort(key=lambda row: row[0])
        return [(task_id, channel, self.unpack(packed)) for _, task_id, channel, packed in rows]


class Parcel:
    """What one put sends: its values, and for the large among them commands that bring their slices first."""

    def __init__(self, client: Client, thread_id: str) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self._slice = client.scripts["checkpoint_slice"]
        self._thread_id = thread_id
        self._inline = 0
        self.size = 0  # bytes of all values, compressed

    def add(self, packed: bytes, prefix: bytes = b"") -> bytes:
        """What to store in the value's place: itself or a reference. Raises TooLarge."""
        size = len(packed)
        self.size += size
        if self.size > _MAX_BYTES:
            raise TooLarge(
                f"The values of one step come to more than {_MAX_BYTES >> 20} MiB, the limit of a checkpoint"
            )
        self._inline += size
        if size <= _LARGE_FROM and self._inline <= _INLINE_BYTES:
            return packed
        self._inline -= size
        # The reference stands in the write's place, prefix and all; the slices hold the bare value.
        value = packed[:1] + packed[1 + len(prefix) :]
        value_id = f"{os.urandom(12).hex()}.{-(-len(value) // _SLICE_BYTES)}"
        for number, start in enumerate(range(0, len(value), _SLICE_BYTES)):
            argv = self._slice.encode(
                {
                    "thread_id": self._thread_id,
                    "value_id": value_id,
                    "number": number,
                    "slice": value[start : start + _SLICE_BYTES],
                }
            )
            # EVAL, not EVALSHA: a restarted Redis would not know the script, and its source is nothing beside a slice.
            self.commands.append(("EVAL", self._slice.source, 0, *argv))
        return b"%b%b\0%b" % (LARGE, prefix, value_id.encode())


def value_name(channel: str, version: Any) -> str:
    """The name under which a channel's value of one version is kept. Raises Invalid."""
    if "\0" in channel or "\1" in channel:
        raise Invalid(f"A channel name must not contain the characters 0 and 1: {channel!r}")
    return f"{channel}\0{version}"


def anatomy(parent_id: str, is_delta: bool, names: Sequence[str]) -> str:
    """What scripts have to know of a checkpoint (lib/checkpoints.lua)."""
    return "\1".join((parent_id, "d" if is_delta else "", *names))
