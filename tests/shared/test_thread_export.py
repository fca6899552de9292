"""What is kept of a thread beside its record: handed out, and removed with it."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.assistants.queries import Queries
from lineshaft.crons.cron import CronStore
from lineshaft.crons.request import CronCreate
from lineshaft.errors import Unavailable
from lineshaft.redis.client import Client
from lineshaft.threads.export import erase_thread, export_thread
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.thread import ThreadStore

from .scenes import Stage


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    stage = Stage(client)
    await stage.enter()
    yield stage
    await client.redis.flushall()


@pytest.fixture
async def queries(client: Client) -> AsyncIterator[Queries]:
    blocking = client.blocking()
    yield Queries(client, blocking, patience=0.2)
    await blocking.aclose()


async def kinds(client: Client, queries: Queries, thread_id: str, *, with_history: bool) -> list[str]:
    lines = export_thread(client, queries, thread_id, with_history=with_history)
    return [kind async for line in lines for kind in msgspec.json.decode(msgspec.json.encode(line))]


async def test_more_runs_than_are_read_at_once_and_a_cron(
    client: Client, stage: Stage, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineshaft.threads.export._RUNS_AT_ONCE", 2)
    for _ in range(5):
        await stage.create(stage.thread)
    cron = {"assistant_id": "g", "schedule": "0 0 1 1 *"}
    await CronStore(client).create(stage.thread, msgspec.convert(cron, CronCreate), cron)
    assert await kinds(client, queries, stage.thread, with_history=False) == ["thread", *["run"] * 5, "cron"]
    await ThreadStore(client).delete(stage.thread)
    assert await kinds(client, queries, stage.thread, with_history=False) == []


async def test_an_export_without_its_history_is_no_export(client: Client, stage: Stage, queries: Queries) -> None:
    await stage.wrote()
    with pytest.raises(Unavailable):
        await kinds(client, queries, stage.thread, with_history=True)


async def test_an_erased_thread_leaves_no_call(client: Client, stage: Stage) -> None:
    await stage.running(webhook="http://example.com/hook")
    await stage.finish(stage.run, stage.token, content=b'{"values":"secret"}')
    assert await client.command("EXISTS", client.keys.webhook(stage.run)) == 1
    assert await erase_thread(client, stage.thread)
    assert not await erase_thread(client, stage.thread)
    assert await client.command("EXISTS", client.keys.webhook(stage.run)) == 0
    assert await client.command("ZCARD", client.keys.webhooks()) == 0


@pytest.mark.parametrize("count", [3, 2500])
async def test_every_thread_is_found_while_others_go(client: Client, count: int) -> None:
    store, search = ThreadStore(client), ThreadSearch(client)
    wanted = [(await store.create(metadata={"a": n % 2, "list": [1]})).thread_id for n in range(count)]
    many = {f"k{n}": n for n in range(20)}
    wanted.append((await store.create(metadata={**many, "a": 0, "list": [1]})).thread_id)
    evens = {thread_id for n, thread_id in enumerate(wanted) if n % 2 == 0} | {wanted[-1]}
    assert set(await search.every(Filter(metadata={"a": 0}))) == evens
    assert set(await search.every(Filter(metadata={"list": [1]}))) == set(wanted)
    assert set(await search.every(Filter(status="idle"))) == set(wanted)
    assert await search.every(Filter(status="busy", metadata={"a": 0})) == []
    assert await search.every(Filter(ids=wanted[:1])) == wanted[:1]
    with pytest.raises(TypeError):
        await search.every(Filter(values={"a": 0}))
