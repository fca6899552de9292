"""A Redis that is nearly full takes no new runs, so that those it has can end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.access.audit import Audit, read_audit
from lineshaft.assistants.assistant import AssistantStore
from lineshaft.errors import Unavailable
from lineshaft.events.log import EventLog
from lineshaft.events.sink import EventSink
from lineshaft.queues.control import order
from lineshaft.queues.workers import drain_worker
from lineshaft.redis.client import Client
from lineshaft.redis.wire import Wire
from lineshaft.runs.actions import cancel_one

from .runs import Desk
from .until import until


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    try:
        yield desk
    finally:
        await client.redis.config_set("maxmemory", 0)
        await client.redis.unlink("ballast")
    await desk.leave()


async def fill(client: Client, share: float) -> None:
    """Set the limit so that this share of it is in use, and forget what was read before."""
    # 100 MB, so that the request itself, on its way in, is nothing beside what is free.
    await client.commands(("SETRANGE", "ballast", 100_000_000, "x"), ("EXPIRE", "ballast", 60))
    memory = await client.redis.info("memory")
    used = memory["used_memory"] - memory["mem_not_counted_for_evict"]
    await client.redis.config_set("maxmemory", int(used / share))
    await client.command("DEL", client.keys.memory())


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_at_ninety_percent_a_new_run_is_refused_and_its_thread_stays_as_it_was(desk: Desk, size: int) -> None:
    thread = await desk.open()
    before = await desk.client.command("HGETALL", desk.client.keys.thread(thread))
    await fill(desk.client, 0.95)
    expected = (
        r"^Redis is nearly full, \d+\.\d of \d+\.\d MiB \(maxmemory\) are in use\. Runs under way go on; "
        r"new ones are accepted again below 90 %\. Delete threads, or raise maxmemory\.$"
    )
    with pytest.raises(Unavailable, match=expected) as caught:
        await desk.create(thread, input="x" * size)
    assert caught.value.retry_after == 10
    with pytest.raises(Unavailable):
        await desk.create(None)
    assert await desk.client.command("HGETALL", desk.client.keys.thread(thread)) == before
    assert await desk.client.command("ZCARD", desk.client.keys.threads_by_id()) == 1
    # Nothing else is refused: there is room for that.
    assert await desk.open()


async def test_below_it_and_without_a_limit_runs_are_accepted(desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    await fill(desk.client, 0.8)
    await desk.create(thread)


async def test_a_run_under_way_ends_and_then_there_is_room_again(desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    await fill(desk.client, 1.1)  # beyond the limit, where Redis refuses most things by itself
    await desk.client.script("run_append", run_id=run, token=token, batch=1, entries=["values", "d", "{}"])
    assert await desk.finish(run, token) == "ok"
    await desk.client.redis.config_set("maxmemory", 0)

    async def accepted() -> bool:
        try:
            return bool(await desk.create(thread))
        except Unavailable:
            return False

    await until(accepted, "room is noticed")  # within a second


@pytest.mark.parametrize("size", [300_000, 3_000_000])
async def test_a_large_event_of_a_run_under_way_is_kept(desk: Desk, size: int) -> None:
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    await fill(desk.client, 1.1)
    sink = EventSink(desk.client, run, token)
    await sink.put("values", b"x" * size)
    assert await sink.close() == []
    assert [len(e.data) for e in await EventLog(desk.client).read(thread, "0-0") if e.event == "values"] == [size]
    assert await desk.finish(run, token) == "ok"


async def test_a_worker_can_start_for_what_waits(desk: Desk) -> None:
    thread = await desk.open()
    await desk.create(thread)
    await fill(desk.client, 1.1)
    await AssistantStore(desk.client).ensure_system("g", "g", None)
    await desk.lease(desk.worker)
    ((run, token),) = await desk.claim()
    assert await desk.finish(run, token) == "ok"


async def test_memory_is_not_looked_at_for_every_run(desk: Desk) -> None:
    thread = await desk.open()

    async def looks() -> int:
        stats = await desk.client.redis.info("commandstats")
        return int(stats.get("cmdstat_info", {}).get("calls", 0))

    await desk.create(thread)
    before = await looks()
    await asyncio.gather(*(desk.create(thread) for _ in range(20)))
    # One for the question itself; and one more, should a second have passed.
    assert await looks() - before <= 2


async def test_it_costs_no_round_trip(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = await desk.open()
    await desk.create(thread)
    await fill(desk.client, 0.95)
    sent: list[Any] = []
    original = Wire.send

    async def counted(wire: Wire, *commands: tuple[Any, ...]) -> list[Any]:
        sent.append(commands)
        return await original(wire, *commands)

    monkeypatch.setattr(Wire, "send", counted)
    with pytest.raises(Unavailable):
        await desk.create(thread)
    assert [[command[0] for command in commands] for commands in sent] == [["EVALSHA"]]


async def test_operators_can_act_on_a_full_redis(desk: Desk) -> None:
    """Stopping what fills it is what they have to do then; and it is audited all the same."""
    client = desk.client
    run = await desk.create(await desk.open())
    await fill(client, 1.1)
    audit = Audit(client, "operator")
    async with audit.noted("drain queue", "runs"):
        await order(client, "runs", "draining")
    async with audit.noted("drain worker", desk.worker):
        assert await drain_worker(client, desk.worker)
    async with audit.noted("cancel run", run):
        assert (await cancel_one(client, run, "interrupt"))[0]
    assert [entry.action for entry in await read_audit(client, limit=9)] == [
        "cancel run",
        "drain worker",
        "drain queue",
    ]
