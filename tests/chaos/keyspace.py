"""What may be left in Redis when nothing goes on any more."""

import fnmatch
import re
from collections.abc import AsyncIterator
from typing import Any

from lineshaft.redis.lasting_keys import LASTING
from lineshaft.runs.record import TERMINAL
from tests.chaos.cell import KEYS, QUEUES

_OF_THE_LIVING = ("ls:workers",)  # while there are workers
# What a run or thread has only while it waits or runs.
_BUSY = (
    "arq:*",
    "ls:worker:*:runs",
    "ls:thread:*:waiting",
    "ls:thread:*:held",
    "ls:run:*:blobs",
    "ls:runs:open*",
    "ls:line:*",
    "ls:parked:*",
    "ls:holders:*",
    "ls:queries",
    "ls:query:*",
)
_OWNER = re.compile(r"ls:(run|thread|worker):([0-9a-f-]{16,36})")
_WRITES = re.compile(r"(?P<thread>ls:thread:[^:]*):writes:(?P<ns>.*):(?P<id>[^:]*)$")


async def is_quiet(client: Any) -> bool:
    """Whether no run waits or runs, and no question is open."""
    if await client.exists(*(KEYS.queue(queue) for queue in QUEUES)):
        return False
    return not await client.smembers(KEYS.threads_with_status("busy"))


async def leaks(client: Any, deleted: set[str]) -> list[str]:
    """Every key that should not be there, or not like that; and what the reconciler had to repair: it is no routine."""
    repairs = await client.hgetall(KEYS.repairs())
    alive = {name.decode() for name in await client.zrange(KEYS.workers(), 0, -1)}
    found = [f"repaired {int(count)} times: {kind.decode()}" for kind, count in repairs.items()]
    async for key in client.scan_iter(count=1000):
        name = key.decode(errors="replace")
        ttl = await client.ttl(key)
        if ttl == -2:
            continue  # it has expired meanwhile
        if ttl == -1 and not any(fnmatch.fnmatchcase(name, pattern) for pattern in (*LASTING, *_OF_THE_LIVING)):
            found.append(f"{name} has no TTL")
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in _BUSY) and not _may_rest(name, ttl):
            found.append(f"{name} is left over")
        if owner := _OWNER.match(name):
            kind, ident = owner.groups()
            if kind == "worker" and ident not in alive:
                found.append(f"{name}: the worker has gone")
            elif kind != "worker":
                look = _of_thread if kind == "thread" else _of_run
                found += [f"{name}: {problem}" async for problem in look(client, name, ident, ttl)]
            if ident in deleted:
                found.append(f"{name} is of a deleted thread")
    return found


def _may_rest(name: str, ttl: int) -> bool:
    """A question whose gateway was killed leaves keys that expire."""
    return name.startswith("ls:quer") and ttl >= 0


async def _of_thread(client: Any, name: str, ident: str, ttl: int) -> AsyncIterator[str]:
    thread = await client.hgetall(KEYS.thread(ident))
    if name == KEYS.thread(ident):
        if left := {b"active", b"queued"} & thread.keys():
            yield f"still has {sorted(left)}"
        if thread.get(b"shown") == b"busy":
            yield "still reads busy"
    if b"created" not in thread and ttl == -1:
        yield "the thread has gone"
    if (writes := _WRITES.match(name)) and not await _has_checkpoint(client, writes):
        yield "writes of a checkpoint that is not there"


async def _of_run(client: Any, name: str, ident: str, ttl: int) -> AsyncIterator[str]:
    run = await client.hgetall(KEYS.run(ident))
    if name != KEYS.run(ident):
        if not run and ttl == -1:
            yield "the run has gone"
        return
    if run.get(b"began"):
        yield "an attempt is not told the end of"
    if left := {b"lock", b"token", b"worker"} & run.keys():
        yield f"still has {sorted(left)}"
    if run.get(b"status", b"").decode() not in TERMINAL or b"ended" not in run:
        yield f"status {run.get(b'status')}, ended {run.get(b'ended')}"
    thread_id = run.get(b"thread", b"").decode()
    if ttl == -1 and await client.zscore(KEYS.thread_runs(thread_id), ident) is None:
        yield f"thread {thread_id} does not know the run"


async def _has_checkpoint(client: Any, writes: "re.Match[str]") -> bool:
    thread, ns, ident = writes.groups()
    if await client.hexists(f"{thread}:headers:{ns}", ident):
        return True
    return bool(await client.sismember(f"{thread}:early", f"{ns}\0{ident}"))
