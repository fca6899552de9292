"""Copies of threads: a new conversation that begins where another one stands."""

from lineshaft.errors import Conflict
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.redis.slices import slices_of

from .state import moved_state, pack_state, unpack_state
from .thread import ThreadStore

_ATTEMPTS = 5
_CHECKPOINTS_AT_ONCE = 100  # in one script call; it stops before if they have much in them
# ms without a piece, after which nobody makes the copy any more: a call outlasts a Redis that is away by seconds.
_GIVEN_UP_MS = 300_000


async def copy_thread(client: Client, thread_id: str) -> str:
    """The id of a new thread with the other's metadata, states and waiting messages, but without its runs.

    Of a busy thread it has what there was before the run began. Raises Conflict if there is no such thread, or if it
    changes again and again while it is copied.
    """
    for _ in range(_ATTEMPTS):
        target = uuid7()
        if await _copied(client, thread_id, target):
            return target
        await _drop(client, target, age=0)
    raise Conflict(f"Thread {thread_id} changes while it is copied: try again when it is less busy")


async def drop_unfinished(client: Client, limit: int) -> int:
    """Delete what there is of up to `limit` copies that nobody makes any more; how many they were."""
    seconds, _ = await client.command("TIME")
    oldest = int(seconds) * 1000 - _GIVEN_UP_MS
    key = client.keys.threads_unfinished()
    found = await client.command("ZRANGE", key, "-inf", oldest, "BYSCORE", "LIMIT", 0, limit)
    return sum([await _drop(client, target.decode(), age=_GIVEN_UP_MS) for target in found])


async def _drop(client: Client, target: str, *, age: int) -> bool:
    if not await client.script("thread_copy_drop", target=target, age=age):
        return False
    await ThreadStore(client).dispose(target)
    return True


async def _copied(client: Client, source: str, target: str) -> bool:
    """Make the whole copy, in pieces; False if the original has changed meanwhile."""
    keys, place = client.keys, {"source": source, "target": target}
    mark, stored = await client.script("thread_copy_begin", **place)
    if stored:
        # First, as it is kept only for some seconds once it is replaced.
        state = await unpack_state(client, source, stored)
        slices, stored = pack_state(client, target, moved_state(state, target))
        for command in slices:  # one at a time: more would be with us, with Redis and on the way at once
            await client.commands(command)
    for ns in await client.members(keys.checkpoint_namespaces(source)):
        after, args = b"", {**place, "ns": ns, "limit": _CHECKPOINTS_AT_ONCE}
        while after := await client.script("thread_copy_part", **args, after=after):
            pass
    for value_id in await client.members(keys.checkpoint_large_ids(target)):
        for number in slices_of(value_id):
            if not await client.script("thread_copy_slice", **place, value_id=value_id, number=number):
                return False
    return bool(await client.script("thread_copy", **place, mark=mark, state=stored))
