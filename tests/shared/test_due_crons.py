"""Firing crons: each time of each cron fires once, whoever looks, and whatever becomes of its run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.document import AssistantDoc
from lineshaft.clock import iso
from lineshaft.config.settings import Settings
from lineshaft.crons.cron import CronFilter, CronStore
from lineshaft.crons.due import DueCrons
from lineshaft.crons.record import Cron
from lineshaft.crons.request import CronCreate, CronPatch
from lineshaft.errors import NotFound, TooMany
from lineshaft.redis.client import Client
from lineshaft.telemetry.upkeep_metrics import UPKEEP
from lineshaft.threads.thread import ThreadStore
from tests.samples import Since

from .runs import Desk

HOURLY = "0 * * * *"


class Timetable:
    """Crons for the graph `g`, and what they have started."""

    def __init__(self, client: Client, desk: Desk) -> None:
        self.client = client
        self.desk = desk
        self.store = CronStore(client)

    async def create(self, thread_id: str | None = None, **fields: Any) -> Cron:
        document = {"assistant_id": "g", "schedule": HOURLY, **fields}
        request = msgspec.json.decode(msgspec.json.encode(document), type=CronCreate)
        return await self.store.create(thread_id, request, document)

    async def patch(self, cron: Cron, **fields: Any) -> Cron:
        request = msgspec.json.decode(msgspec.json.encode(fields), type=CronPatch)
        return await self.store.patch(cron.cron_id, request, fields)

    async def make_due(self, cron: Cron, ms: int) -> int:
        """As if the cron had been due so long ago; when that was."""
        seconds, _ = await self.client.command("TIME")
        when = int(seconds) * 1000 - ms
        await self.client.commands(
            ("ZADD", self.client.keys.crons_due(), when, cron.cron_id),
            ("HSET", self.client.keys.cron(cron.cron_id), "next", when),
        )
        return when

    async def is_due(self, cron: Cron) -> bool:
        return await self.client.command("ZSCORE", self.client.keys.crons_due(), cron.cron_id) is not None

    async def runs(self) -> list[str]:
        """The ids of the runs that wait for a worker."""
        return [i.decode() for i in await self.client.command("ZRANGE", self.client.keys.queue("runs"), 0, -1)]


@pytest.fixture
async def timetable(client: Client) -> AsyncIterator[Timetable]:
    desk = Desk(client)
    await desk.open()
    yield Timetable(client, desk)
    await client.redis.flushall()  # runs and workers


async def now(client: Client) -> str:
    seconds, _ = await client.command("TIME")
    return iso(int(seconds) * 1000)


async def test_a_due_cron_fires_once_and_then_waits_for_its_next_time(timetable: Timetable, client: Client) -> None:
    cron = await timetable.create(input={"x": 1}, metadata={"m": 1})
    crons = DueCrons(client, "a")
    assert 0 < await crons.fire() <= 3600
    assert await timetable.runs() == []

    window = await timetable.make_due(cron, 5_000)
    assert 0 < await crons.fire() <= 3600
    (run_id,) = await timetable.runs()
    assert (await timetable.store.get(cron.cron_id)).next_run_date > await now(client)
    await crons.fire()
    assert await timetable.runs() == [run_id]

    run = await timetable.desk.runs.get(await timetable.desk.runs.find(run_id), run_id)
    assert run.kwargs["input"] == msgspec.Raw(b'{"x":1}')
    configurable = run.kwargs["config"]["configurable"]
    assert (configurable["cron_id"], configurable["__request_start_time_ms__"]) == (cron.cron_id, window)
    assert run.metadata["m"] == 1


async def test_many_schedulers_fire_each_time_once(timetable: Timetable, settings: Settings) -> None:
    crons = [await timetable.create() for _ in range(30)]
    for cron in crons:
        await timetable.make_due(cron, 1_000)
    clients = [Client(settings) for _ in range(5)]
    await asyncio.gather(*(DueCrons(client, str(i)).fire() for i, client in enumerate(clients)))
    assert len(await timetable.runs()) == 30
    for client in clients:
        await client.close()


async def test_what_was_missed_while_nobody_was_there_fires_once(timetable: Timetable, client: Client) -> None:
    cron = await timetable.create(schedule="* * * * * *")
    await timetable.patch(cron, schedule=HOURLY)
    await timetable.make_due(cron, 86_400_000)
    await DueCrons(client, "a").fire()
    assert len(await timetable.runs()) == 1


async def test_one_scheduler_keeps_the_timer_until_something_comes_earlier(
    timetable: Timetable, client: Client
) -> None:
    await timetable.create(schedule="0 0 1 1 *")
    one, other = DueCrons(client, "one"), DueCrons(client, "other")
    yearly = await one.fire()
    assert yearly > 0
    assert await other.fire() == -1
    assert await one.fire() == pytest.approx(yearly, abs=60)
    await timetable.create(schedule=HOURLY)
    assert 0 < await other.fire() <= 3600
    assert await one.fire() == -1


async def test_a_disabled_cron_and_one_at_its_end_do_not_fire(timetable: Timetable, client: Client) -> None:
    cron = await timetable.create(enabled=False)
    ended = await timetable.create(end_time=await now(client))
    assert not await timetable.is_due(cron)
    assert not await timetable.is_due(ended)
    cron = await timetable.patch(cron, enabled=True)
    assert await timetable.is_due(cron)
    await timetable.patch(cron, end_time=await now(client))
    assert not await timetable.is_due(cron)
    await timetable.patch(cron, end_time=None)
    assert await timetable.is_due(cron)
    await timetable.patch(ended, end_time="2222-01-01")
    assert await timetable.is_due(ended)
    await timetable.patch(ended, enabled=False)
    assert not await timetable.is_due(ended)


async def test_a_cron_fires_until_its_end_and_not_beyond(timetable: Timetable, client: Client) -> None:
    cron = await timetable.create(schedule="0 0 1 1 *", end_time=await now(client))
    await timetable.make_due(cron, 5_000)
    assert await DueCrons(client, "a").fire() == -1
    assert len(await timetable.runs()) == 1
    assert not await timetable.is_due(cron)


async def test_time_that_passed_while_a_cron_was_disabled_is_not_made_up_for(
    timetable: Timetable, client: Client
) -> None:
    cron = await timetable.create()
    await timetable.patch(cron, enabled=False)
    await client.command("HSET", client.keys.cron(cron.cron_id), "next", 1000)
    assert (await timetable.patch(cron, metadata={})).next_run_date < await now(client)
    assert (await timetable.patch(cron, enabled=True)).next_run_date > await now(client)


async def test_a_cron_that_was_changed_meanwhile_fires_as_it_is_now(
    timetable: Timetable, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron = await timetable.create(metadata={"m": "old"})
    await timetable.make_due(cron, 5_000)
    after, meddled = client.after, False

    async def late(commands: Any, name: str, **args: Any) -> Any:
        nonlocal meddled
        if name == "cron_fire" and not meddled:
            meddled = True
            await timetable.patch(cron, metadata={"m": "new"})
        return await after(commands, name, **args)

    monkeypatch.setattr(client, "after", late)
    await DueCrons(client, "a").fire()
    assert meddled
    (run_id,) = await timetable.runs()
    run = await timetable.desk.runs.get(await timetable.desk.runs.find(run_id), run_id)
    assert run.metadata["m"] == "new"


async def test_a_cron_that_cannot_fire_hinders_no_other(timetable: Timetable, client: Client) -> None:
    broken, whole = await timetable.create(), await timetable.create()
    key = client.keys.cron(broken.cron_id)
    await client.command("HSET", key, "payload", b'{"assistant_id": 5}')
    unknown = await timetable.create()
    head = msgspec.json.encode({"assistant_id": unknown.assistant_id, "schedule": HOURLY, "timezone": "Mars/Base"})
    await client.command("HSET", client.keys.cron(unknown.cron_id), "head", head)
    newer = await timetable.create()
    await client.command("HSET", client.keys.cron(newer.cron_id), "head", b'{"assistant_id": 5}')
    for cron in (broken, unknown, newer, whole):
        await timetable.make_due(cron, 5_000)
    assert 0 < await DueCrons(client, "a").fire() <= 1
    assert len(await timetable.runs()) == 1
    for cron in (broken, unknown, newer):
        assert await timetable.is_due(cron)


async def test_with_a_full_redis_a_cron_stays_due(timetable: Timetable, client: Client) -> None:
    since = Since(UPKEEP)
    cron = await timetable.create()
    await timetable.make_due(cron, 5_000)
    await client.command("SET", client.keys.memory(), "9 of 10 MiB", "PX", 60_000)
    assert await DueCrons(client, "a").fire() > 0
    assert await timetable.runs() == []
    await client.command("DEL", client.keys.memory())
    await DueCrons(client, "a").fire()
    assert len(await timetable.runs()) == 1
    fires = since.more("cron_fires_total")
    assert (fires["failed"] >= 1, fires["fired"]) == (True, 1)


async def test_a_busy_thread_that_rejects_is_passed_by(timetable: Timetable, client: Client) -> None:
    since = Since(UPKEEP)
    thread_id = await timetable.desk.open()
    cron = await timetable.create(thread_id, multitask_strategy="reject")
    for _ in range(2):
        await timetable.make_due(cron, 5_000)
        await DueCrons(client, "a").fire()
    assert len(await timetable.desk.runs.page(thread_id, limit=10, offset=0)) == 1
    assert await timetable.is_due(cron)
    assert since.more("cron_fires_total") == {"fired": 1, "refused": 1}
    assert since.more("cron_lateness_seconds_count") == {"": 1}


async def test_crons_go_with_their_thread(timetable: Timetable, client: Client) -> None:
    thread_id = await timetable.desk.open()
    cron = await timetable.create(thread_id)
    other = await timetable.create()
    await ThreadStore(client).delete(thread_id)
    with pytest.raises(NotFound):
        await timetable.store.get(cron.cron_id)
    assert not await timetable.is_due(cron)
    assert [c.cron_id for c in (await timetable.store.search(CronFilter())).rows] == [other.cron_id]
    assert await client.command("EXISTS", client.keys.crons_of_thread(thread_id)) == 0


async def test_crons_go_with_their_assistant(timetable: Timetable, client: Client) -> None:
    assistant = await AssistantStore(client).create(AssistantDoc(graph_id="g"))
    cron = await timetable.create(assistant_id=assistant.assistant_id)
    other = await timetable.create()
    await AssistantStore(client).delete(assistant.assistant_id)
    with pytest.raises(NotFound):
        await timetable.store.get(cron.cron_id)
    assert not await timetable.is_due(cron)
    assert [c.cron_id for c in (await timetable.store.search(CronFilter())).rows] == [other.cron_id]
    assert await client.command("EXISTS", client.keys.crons_of_assistant(assistant.assistant_id)) == 0


async def test_a_cron_whose_assistant_is_gone_goes_too(timetable: Timetable, client: Client) -> None:
    cron = await timetable.create()
    await client.command("DEL", client.keys.assistant(cron.assistant_id))
    await timetable.make_due(cron, 5_000)
    assert await DueCrons(client, "a").fire() == -1
    with pytest.raises(NotFound):
        await timetable.store.get(cron.cron_id)


async def test_an_entry_without_a_record_is_cleared_away(timetable: Timetable, client: Client) -> None:
    cron = await timetable.create()
    await timetable.make_due(cron, 5_000)
    await client.command("DEL", client.keys.cron(cron.cron_id))
    assert await DueCrons(client, "a").fire() == -1
    assert not await timetable.is_due(cron)


async def test_a_thread_has_so_many_crons_and_no_more(timetable: Timetable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineshaft.crons.cron.MAX_ON_THREAD", 2)
    thread_id = await timetable.desk.open()
    for _ in range(2):
        await timetable.create(thread_id)
    with pytest.raises(TooMany, match="limit 2"):
        await timetable.create(thread_id)
    await timetable.create()


@pytest.mark.parametrize("kept", ["delete", "keep"])
async def test_the_thread_of_a_firing_is_found_while_it_is_there(
    timetable: Timetable, client: Client, kept: str
) -> None:
    cron = await timetable.create(on_run_completed=kept, metadata={"m": 1})
    await timetable.make_due(cron, 5_000)
    await DueCrons(client, "a").fire()
    ((run_id, token),) = await timetable.desk.claim()
    thread_id = await timetable.desk.runs.find(run_id)
    assert (await ThreadStore(client).get(thread_id)).metadata["m"] == 1
    assert await client.command("SISMEMBER", client.keys.threads_with("m=1"), thread_id)
    await timetable.desk.finish(run_id, token)
    assert bool(await client.command("SISMEMBER", client.keys.threads_with("m=1"), thread_id)) == (kept == "keep")
