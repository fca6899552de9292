"""The reconciler: finds what should not be, mends it and says so; and removes what has outlived its time.

Every state transition is one script, so nothing of this is part of a run's life. It is for what an operator's hand, a
failover that lost a write, or a bug of ours leaves behind. Every worker's parent runs one; one of them has the office.
A turn is bounded: pages of some threads or runs, each one script of a few milliseconds, going round all of them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

from .errors import Conflict, NotFound, Unavailable
from .queues.control import queue_names
from .redis.client import Client
from .runs.index import drop_forgotten, trim_ended
from .telemetry import log
from .telemetry.upkeep_metrics import SWEPT
from .threads.copies import drop_unfinished
from .threads.thread import ThreadStore

logger = log.get("reconciler")

_PAGE = 50  # threads or runs that one script looks at: about a millisecond of Redis, five in the worst case
_PAGES = 20  # of each index, in one turn: 100,000 threads are gone through in an hour
_EXPIRED = 100  # threads whose time is over, in one turn
_ITEMS = 1_000  # items of the store, likewise
_PRUNED = 100  # checkpoints that one script removes: two milliseconds
_DISPOSED = 10  # threads that are gone but for their checkpoints, in one turn, and copies that nobody finishes
_DAY_MS = 86_400_000


class Reconciler:
    """Looks after one Redis. `name` is what it is elected by."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._places: dict[str, bytes] = {}  # how far each index has been gone through

    async def run(self) -> None:
        """Take turns until cancelled, while elected."""
        seconds = self._client.settings.lineshaft_reconcile_seconds
        while True:
            # Spread, so that workers that were started together do not ask together.
            await asyncio.sleep(seconds * (0.75 + 0.5 * random.random()))
            try:
                if await self.is_elected():
                    await self.turn()
            except Unavailable as error:
                logger.warning("Redis is away, reconciling later", error=str(error))

    async def is_elected(self) -> bool:
        """Whether this one has the office, which lasts for three turns beyond its holder's last one."""
        term = int(3_000 * self._client.settings.lineshaft_reconcile_seconds)
        return bool(await self._client.script("reconciler_elect", candidate=self._name, term=term))

    async def turn(self) -> Counter[str]:
        """One bounded look; what was mended or removed, by kind."""
        found: Counter[str] = Counter()
        async for pairs in self._repair():
            for kind, thread_id in zip(pairs[::2], pairs[1::2], strict=True):
                found[kind.decode()] += 1
                logger.warning("repaired", kind=kind.decode(), thread_id=thread_id.decode())
        removed = await self._remove()
        for what, count in removed.items():
            SWEPT.labels(what.replace(" ", "_")).inc(count)
        found += removed
        if found:
            logger.info("reconciled", **dict(found))
        return found

    async def _repair(self) -> AsyncIterator[list[bytes]]:
        keys, limit = self._client.keys, self._client.settings.bg_job_max_retries
        for queue in await queue_names(self._client):
            async for run_ids in self._pages("ZSCAN", keys.queue(queue)):
                yield await self._client.script("repair_queue", queue=queue, max_crashes=limit, run_ids=run_ids)
        limits = self._client.settings.lineshaft_executor.limits.lines
        async for causes in self._pages("SSCAN", keys.limited()):
            yield await self._client.script("repair_limits", limits=limits, causes=causes)
        for command, index in (
            ("SSCAN", keys.threads_with_status("busy")),
            ("ZSCAN", keys.threads_temporary()),
            ("ZSCAN", keys.threads_by_id()),
        ):
            async for thread_ids in self._pages(command, index):
                yield await self._client.script("repair_threads", max_crashes=limit, thread_ids=thread_ids)

    async def _pages(self, command: str, key: str) -> AsyncIterator[list[bytes]]:
        """Some members of a set or sorted set, going on where the last turn stopped."""
        cursor = self._places.get(key, b"0")
        for _ in range(_PAGES):
            cursor, page = await self._client.command(command, key, cursor, "COUNT", _PAGE)
            members = page[::2] if command == "ZSCAN" else page
            # A small index answers with all of its members, whatever the count.
            for start in range(0, len(members), _PAGE):
                yield members[start : start + _PAGE]
            if cursor == b"0":
                break
        self._places[key] = cursor

    async def _remove(self) -> Counter[str]:
        removed = await self._expire_threads()
        removed["expired item"] = await self._client.script("store_sweep", limit=_ITEMS)
        for thread_id in await self._client.command("SRANDMEMBER", self._client.keys.threads_with_garbage(), 1):
            removed["unreferenced value"] += await self._sweep(thread_id.decode())
        removed["unfinished copy of a thread"] = await drop_unfinished(self._client, _DISPOSED)
        for thread_id in await self._client.command("SRANDMEMBER", self._client.keys.threads_disposed(), _DISPOSED):
            await ThreadStore(self._client).dispose(thread_id.decode())
            removed["rest of a thread"] += 1
        removed["run that ended long ago in the index"] = await trim_ended(self._client)
        for index in (self._client.keys.runs_ended(), self._client.keys.runs_failed()):
            async for run_ids in self._pages("ZSCAN", index):
                removed["run without a record in the index"] += await drop_forgotten(self._client, index, run_ids)
        seconds, _ = await self._client.command("TIME")
        oldest = int(seconds) * 1000 - self._client.settings.lineshaft_dead_letter_days * _DAY_MS
        removed["old dead letter"] = await self._client.command("XTRIM", self._client.keys.dead(), "MINID", oldest)
        return +removed

    async def _expire_threads(self) -> Counter[str]:
        keys, done = self._client.keys, Counter[str]()
        seconds, _ = await self._client.command("TIME")
        due = await self._client.command(
            "ZRANGEBYSCORE", keys.threads_by_expiry(), "-inf", int(seconds) * 1000, "LIMIT", 0, _EXPIRED
        )
        for thread_id in (name.decode() for name in due):
            strategy = (await self._client.script("thread_expire", thread_id=thread_id)).decode()
            if strategy == "delete":
                try:
                    await ThreadStore(self._client).delete(thread_id)
                except NotFound:
                    continue  # somebody else has, meanwhile
                done["expired thread"] += 1
            elif strategy:
                await self._prune(thread_id)
                done["pruned thread"] += 1
        return done

    async def _prune(self, thread_id: str) -> None:
        for ns in await self._client.command("SMEMBERS", self._client.keys.checkpoint_namespaces(thread_id)):
            try:
                while await self._client.script("checkpoint_prune", thread_id=thread_id, ns=ns, limit=_PRUNED):
                    pass
            except Conflict:
                # The latest state is built upon the older checkpoints (DeltaChannel): all of them are needed.
                continue

    async def _sweep(self, thread_id: str) -> int:
        """Remove values of a thread's checkpoints that no checkpoint names."""
        keys, client, swept = self._client.keys, self._client, 0
        for raw in await client.command("SMEMBERS", keys.checkpoint_namespaces(thread_id)):
            ns = raw.decode()
            # First what is there, then what is named: a value that is put meanwhile is in neither.
            there = {name async for name in self._fields(keys.checkpoint_blobs(thread_id, ns))}
            async for name in self._names(keys.checkpoint_headers(thread_id, ns)):
                there.discard(name)
            unnamed = sorted(there)
            for start in range(0, len(unnamed), _PRUNED):
                part = unnamed[start : start + _PRUNED]
                swept += await client.script("checkpoint_sweep", thread_id=thread_id, ns=ns, names=part)
        await client.command("SREM", keys.threads_with_garbage(), thread_id)
        return swept

    async def _fields(self, key: str) -> AsyncIterator[bytes]:
        async for field, _ in self._hash(key):
            yield field

    async def _names(self, key: str) -> AsyncIterator[bytes]:
        """Names of values in headers: the fields `<id>:f`, see lib/checkpoints.lua."""
        async for field, value in self._hash(key):
            if field.endswith(b":f"):
                _, _, *names = value.split(b"\1")
                for name in names:
                    yield name

    async def _hash(self, key: str) -> AsyncIterator[tuple[bytes, bytes]]:
        cursor = b"0"
        while True:
            # Values come along unasked, and one may be 256 KiB: few at a time.
            cursor, page = await self._client.command("HSCAN", key, cursor, "COUNT", 50)
            for field, value in zip(page[::2], page[1::2], strict=True):
                yield field, value
            if cursor == b"0":
                return
