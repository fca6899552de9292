"""The event log of a thread (a Redis stream): what runs append, and what streams, waits and joins read."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from .redis import Client

# The terminal entry of a run; never sent to clients, its data is the run's status.
END = "end"
# An entry in place of events that were too large or are gone; data says how much is missing.
GAP = "gap"


class Entry(Struct):
    """One entry. `id` is `<ms>-<n>` with n padded for clients, so that ids also rise as text."""

    id: str
    run_id: str
    attempt: int
    event: str
    data: bytes
    seq: int

    @property
    def mode(self) -> str:
        """The event's name without its subgraph namespace: `values` of `values|child:...`."""
        return self.event.partition("|")[0]


class EventLog:
    """Reads the logs of threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, thread_id: str, after: str, count: int = 500) -> list[Entry]:
        """Up to `count` entries behind the id `after` (exclusive; `0-0` is the beginning)."""
        keys = self._client.keys
        rows, trimmed = await self._client.commands(
            ("XRANGE", keys.thread_events(thread_id), f"({redis_id(after)}", "+", "COUNT", count),
            ("HGET", keys.thread(thread_id), "log_trimmed"),
            atomic=True,
        )
        entries = await self._entries(rows)
        if trimmed and is_later(lost := trimmed.decode(), after):
            # For readers of every run: whose events are gone, nobody knows any more.
            data = msgspec.json.encode({"reason": "older events have been dropped", "until": client_id(lost)})
            entries.insert(0, Entry(client_id(lost), "", 0, GAP, data, 0))
        return entries

    async def read_many(self, after: dict[str, str], count: int = 500) -> dict[str, list[Entry]]:
        """The same for several threads at once, in one round trip."""
        keys = {self._client.keys.thread_events(t).encode(): t for t in after}
        places = map(redis_id, after.values())
        answer = await self._client.command("XREAD", "COUNT", count, "STREAMS", *keys, *places)
        return {keys[key]: await self._entries(rows) for key, rows in answer or ()}

    async def _entries(self, rows: Iterable[tuple[bytes, list[bytes]]]) -> list[Entry]:
        out = []
        for raw_id, flat in rows:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            event = fields[b"e"].decode()
            data = fields.get(b"d")
            if data is None:
                data = await self._blob(fields[b"k"].decode().partition(":")[0])
            if not data:
                event, data = GAP, msgspec.json.encode({"reason": "the event has expired", "event": event})
            out.append(
                Entry(
                    client_id(raw_id.decode()), fields[b"r"].decode(), int(fields[b"a"]), event, data, int(fields[b"s"])
                )
            )  # fmt: skip
        return out

    async def _blob(self, blob_id: str) -> bytes:
        """The data of a large event; empty after it has expired."""
        return b"".join(await self._client.command("LRANGE", self._client.keys.blob(blob_id), 0, -1))


def is_later(left: str, right: str) -> bool:
    """Whether one id comes after another; `n` may be padded or not."""
    left_ms, _, left_n = left.partition("-")
    right_ms, _, right_n = right.partition("-")
    return (int(left_ms), int(left_n or 0)) > (int(right_ms), int(right_n or 0))


def client_id(stream_id: str) -> str:
    """`1795292900382-7` -> `1795292900382-0007`: clients compare ids as text, Redis drops leading zeros."""
    ms, _, n = stream_id.partition("-")
    return f"{ms}-{n:0>4}"


def redis_id(client_id: str) -> str:
    """The id as Redis takes it."""
    ms, _, n = client_id.partition("-")
    return f"{ms}-{int(n or 0)}"
