"""Looking into the stored states of threads, which no index knows: filters by values."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.errors import Invalid
from lineshaft.redis.client import Client
from lineshaft.search import contains

from .state import unpack_state

# Threads that one search looks into: some seconds of a gateway, and less than a millisecond of Redis at a time.
LOOKS = 10_000
_AT_ONCE = 100  # threads whose states are read in one round trip
_BYTES_AT_ONCE = 4 * 1024 * 1024  # of these states


class _Values(Struct):
    values: Raw = Raw(b"null")


class ValuesFilter:
    """Which threads have these values in their state. One for each search: it counts what it has looked at."""

    def __init__(self, client: Client, wanted: dict[str, Any]) -> None:
        self._client = client
        self._wanted = wanted
        self._looked = 0

    async def matching(self, ids: list[str]) -> list[str]:
        """Those of some threads that match, in the same order. Raises Invalid when they were too many over all."""
        if not self._wanted:
            return ids
        self._looked += len(ids)
        if self._looked > LOOKS:
            raise Invalid(
                f"No index knows values: a search looks into {LOOKS} threads at most, and there are more."
                " Narrow it by metadata, status or ids."
            )
        found: list[str] = []
        sizes = await _sizes(self._client, ids)
        with_state = [(thread_id, size) for thread_id, size in zip(ids, sizes, strict=True) if size]
        for part in _parts(with_state):
            states = await self._client.commands(
                *(("HGET", self._client.keys.thread_snapshot(thread_id), "state") for thread_id in part)
            )
            for thread_id, state in zip(part, states, strict=True):
                # A large one is brought alone, in slices.
                if state and self._matches(await unpack_state(self._client, thread_id, state)):
                    found.append(thread_id)
        return found

    def _matches(self, state: bytes) -> bool:
        try:
            values = msgspec.json.decode(msgspec.json.decode(state, type=_Values).values, type=dict[str, Raw])
        except msgspec.ValidationError:
            return False  # values of a functional graph need not be an object
        # Only what is asked for is decoded in full.
        return all(
            name in values and contains(msgspec.json.decode(values[name]), wanted)
            for name, wanted in self._wanted.items()
        )


def _parts(sizes: list[tuple[str, int]]) -> list[list[str]]:
    """What is read at once holds up whatever else waits for Redis, so it is kept small."""
    parts: list[list[str]] = []
    room = 0
    for thread_id, size in sizes:
        if not parts or size > room or len(parts[-1]) == _AT_ONCE:
            parts.append([])
            room = _BYTES_AT_ONCE
        parts[-1].append(thread_id)
        room -= size
    return parts


async def _sizes(client: Client, ids: list[str]) -> list[int]:
    if not ids:
        return []
    return await client.commands(*(("HSTRLEN", client.keys.thread_snapshot(i), "state") for i in ids))
