"""Threads with thousands of checkpoints: no script goes through all of them, as Redis does nothing else meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client
from lineshaft.runs.run import RunStore
from lineshaft.threads.thread import ThreadStore
from lineshaft_worker.checkpoints import RedisSaver
from tests.shared import redis_state
from tests.shared.runs import Desk
from tests.worker.counting import CountingClient

CHECKPOINTS = 2_000
# Commands that one script may run: some milliseconds, and less than one for each checkpoint.
LIMIT = 1_500
NAMESPACES = ("", "inner:1")


@pytest.fixture
async def counting(client: Client, settings: Settings) -> AsyncIterator[CountingClient]:
    assert client.settings == settings  # it has emptied the Redis that both use
    counting = CountingClient(settings)
    yield counting
    await counting.close()


async def fill(client: Client, thread_id: str, owner: str = "", *, count: int = CHECKPOINTS, first: int = 0) -> None:
    """Checkpoints as a run leaves them: half of them in a subgraph, each with a value and a write of its own."""

    async def put(number: int) -> None:
        ns = NAMESPACES[number % 2]
        place = {"thread_id": thread_id, "ns": ns, "checkpoint_id": f"c{number:05}"}
        parent = f"c{number - 2:05}" if number > 1 else ""
        await client.script(
            "checkpoint_put", run_id="", token="", owner=owner, **place, header=b"h",
            anatomy_text=f"{parent}\1\1a\0{number}", values=[f"a\0{number}", b"v"],
        )  # fmt: skip
        await client.script("checkpoint_put_writes", run_id="", token="", **place, writes=[0, "t\0" + "0", b"n\0v"])

    for start in range(first, first + count, 500):
        await asyncio.gather(*(put(number) for number in range(start, min(start + 500, first + count))))


async def lasting(client: Client) -> set[str]:
    """All keys but those that remember for a moment how a call was answered."""
    return {key for key in await redis_state.read(client) if not key.startswith("ls:answered:")}


def checkpoints_of(state: dict[str, Any], thread_id: str) -> dict[str, Any]:
    """What is stored of a thread's checkpoints, under names without the thread's."""
    prefix = f"ls:thread:{thread_id}:"
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


async def test_a_thread_is_deleted_in_pieces(client: Client, counting: CountingClient) -> None:
    before = await lasting(client)
    thread = await ThreadStore(client).create()
    await fill(client, thread.thread_id)

    await ThreadStore(counting).delete(thread.thread_id)

    assert await lasting(client) == before
    assert 0 < max(counting.most.values()) < LIMIT


async def test_what_a_deletion_left_goes_later(client: Client) -> None:
    before = await lasting(client)
    thread = await ThreadStore(client).create()
    await fill(client, thread.thread_id)
    # The gateway dies after the script that makes the thread unknown.
    assert await client.script("thread_delete", thread_id=thread.thread_id, limit=100, request="q") == 2
    assert await lasting(client) > before

    found = await Reconciler(client, "r").turn()

    assert found["rest of a thread"] == 1
    assert await lasting(client) == before


async def test_a_new_thread_has_nothing_of_a_deleted_one_with_its_id(client: Client) -> None:
    thread_id = uuid7()
    await ThreadStore(client).create(thread_id)
    await fill(client, thread_id)
    assert await client.script("thread_delete", thread_id=thread_id, limit=100, request="q") == 2

    await ThreadStore(client).create(thread_id)

    assert checkpoints_of(await redis_state.read(client), thread_id) == {}
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    assert await RedisSaver(client).aget_tuple(config) is None
    # And nobody takes the new one's away later.
    await fill(client, thread_id, count=2)
    await Reconciler(client, "r").turn()
    assert await client.command("ZCARD", client.keys.checkpoint_ids(thread_id, "")) == 1


async def test_a_temporary_thread_goes_in_pieces(client: Client, counting: CountingClient) -> None:
    desk = Desk(client)
    await desk.open()
    run = await desk.create(None)
    thread = await RunStore(client).find(run)
    ((_, token),) = await desk.claim()
    await fill(client, thread)
    desk.client = counting

    await desk.finish(run, token)
    await Reconciler(counting, "r").turn()

    assert checkpoints_of(await redis_state.read(client), thread).keys() == {"events (expires)"}
    assert 0 < max(counting.most.values()) < LIMIT
    await client.redis.flushall()  # the worker's lease


async def test_a_run_is_taken_back_in_pieces(client: Client, counting: CountingClient) -> None:
    desk = Desk(client)
    thread = await desk.open()
    run = await desk.create(thread)
    await fill(client, thread, count=4)
    before = checkpoints_of(await redis_state.read(client), thread)
    await fill(client, thread, run, first=4)

    await RedisSaver(counting).rollback(run)

    assert checkpoints_of(await redis_state.read(client), thread) == before
    assert 0 < max(counting.most.values()) < LIMIT
    await client.redis.flushall()  # the run waits


async def test_a_run_is_taken_back_from_under_a_later_one(client: Client, counting: CountingClient) -> None:
    desk = Desk(client)
    thread = await desk.open()
    run = await desk.create(thread)
    await fill(client, thread, run, count=20)
    await fill(client, thread, first=20)

    await RedisSaver(counting).rollback(run)

    state = checkpoints_of(await redis_state.read(client), thread)
    assert min(state["ids:"]) == "c00020"
    # The first checkpoint that stays names no value of its parent's: all of the run's are gone.
    assert len(state["blobs:"]) == CHECKPOINTS // 2
    assert 0 < max(counting.most.values()) < LIMIT
    await client.redis.flushall()  # the run waits


async def test_the_checkpoints_of_a_thread_are_deleted_in_pieces(client: Client, counting: CountingClient) -> None:
    thread = await ThreadStore(client).create()
    await fill(client, thread.thread_id)

    await RedisSaver(counting).adelete_thread(thread.thread_id)

    assert checkpoints_of(await redis_state.read(client), thread.thread_id) == {}
    assert 0 < max(counting.most.values()) < LIMIT


async def test_a_thread_is_copied_in_pieces(client: Client, counting: CountingClient) -> None:
    source, target = [(await ThreadStore(client).create()).thread_id for _ in range(2)]
    await fill(client, source)
    await fill(client, target, count=10)

    await RedisSaver(counting).acopy_thread(source, target)

    state = await redis_state.read(client)
    assert checkpoints_of(state, target) == checkpoints_of(state, source)
    assert 0 < max(counting.most.values()) < LIMIT
