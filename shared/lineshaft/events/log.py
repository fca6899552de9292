"""The event log of a thread (a Redis stream): what runs append, and what streams, waits and joins read."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.redis.slices import whole

# The terminal entry of a run; never sent to clients. Its data is the run's status, or more exactly how it came to that:
# `paused` (a success that can go on), `superseded` (interrupted by a newer run that took its place).
END = "end"
PAUSED, SUPERSEDED = "paused", "superseded"
_STATUS_OF = {PAUSED: "success", SUPERSEDED: "interrupted"}
# An entry in place of events that were too large or are gone; data says how much is missing.
GAP = "gap"
# An entry of no run: the thread's state was changed from outside. Data: {"state", "thread_id"}.
STATE_UPDATE = "state_update"

# What one read should come to: a gateway holds as much for each client that is slow in taking it.
PAGE_BYTES = 128 * 1024
USUAL, _FEWEST, _MOST = 64, 8, 500  # entries of one read; of 64 KiB at most, so Redis is never held up for long


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

    async def read(self, thread_id: str, after: str, count: int = USUAL) -> list[Entry]:
        """Up to `count` entries behind the id `after` (exclusive; `0-0` is the beginning), none behind PAGE_BYTES."""
        key, thread = self._client.keys.thread_events(thread_id), self._client.keys.thread(thread_id)
        rows, (trimmed, ms, n), is_there = await self._client.commands(
            ("XRANGE", key, f"({redis_id(after)}", "+", "COUNT", count),
            ("HMGET", thread, "log_trimmed", "log_ms", "log_n"),
            ("EXISTS", key),
            atomic=True,
        )
        entries = await self._entries(rows)
        lost = (trimmed or b"0-0").decode() if is_there else _joined(ms, n)  # all of it, if the log has expired
        if is_later(lost, after):
            # For readers of every run: whose events are gone, nobody knows any more.
            data = msgspec.json.encode({"reason": "older events have been dropped", "until": client_id(lost)})
            entries.insert(0, Entry(client_id(lost), "", 0, GAP, data, 0))
        return entries

    async def newest(self, thread_id: str) -> str:
        """The id of the newest entry, also if it is gone: what comes from now on is behind it. Raises NotFound."""
        thread = self._client.keys.thread(thread_id)
        created, ms, n = await self._client.command("HMGET", thread, "created", "log_ms", "log_n")
        if created is None:
            raise NotFound(f"Thread with ID {thread_id} not found")
        return _joined(ms, n)

    async def seek(self, thread_id: str, seq: int) -> tuple[str, int]:
        """Where a reader goes on who has had all entries up to a number, and the newest number.

        The place is the id of an entry, behind which to read; `0-0` if some behind `seq` are lost.
        """
        place, newest = await self._client.script("event_seek", thread_id=thread_id, seq=seq)
        return place.decode(), newest

    async def last(self, thread_id: str, count: int, until: str = "+") -> list[Entry]:
        """The newest entries, the newest first; those of up to a time in ms, if one is given."""
        key = self._client.keys.thread_events(thread_id)
        return await self._entries(await self._client.command("XREVRANGE", key, until, "-", "COUNT", count))

    async def read_many(self, after: dict[str, str], count: int = USUAL) -> dict[str, list[Entry]]:
        """The same for several threads at once, in one round trip."""
        keys = {self._client.keys.thread_events(t).encode(): t for t in after}
        places = map(redis_id, after.values())
        answer = await self._client.command("XREAD", "COUNT", count, "STREAMS", *keys, *places)
        return {keys[key]: await self._entries(rows) for key, rows in answer or ()}

    async def _entries(self, rows: Iterable[tuple[bytes, list[bytes]]]) -> list[Entry]:
        out: list[Entry] = []
        size = 0
        for raw_id, flat in rows:
            if size >= PAGE_BYTES:
                break
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
            size += len(data)
        return out

    async def _blob(self, blob_id: str) -> bytes:
        """The data of a large event; empty after it has expired."""
        return await whole(self._client, self._client.keys.blob(blob_id))


def is_full(page: list[Entry], count: int) -> bool:
    """Whether there may be more behind a page that was read with this `count`."""
    return len(page) >= count or sum(len(entry.data) for entry in page) >= PAGE_BYTES


def count_like(page: list[Entry]) -> int:
    """How many entries like these make a page."""
    return max(_FEWEST, min(_MOST, PAGE_BYTES * len(page) // (sum(len(entry.data) for entry in page) + 1)))


def status_told(data: bytes) -> str:
    """The run's status, as the data of its END entry tell it."""
    told = msgspec.json.decode(data, type=str)
    return _STATUS_OF.get(told, told)


def _joined(ms: bytes | None, n: bytes | None) -> str:
    """The id that a thread's hash holds in two fields."""
    return f"{(ms or b'0').decode()}-{(n or b'0').decode()}"


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
