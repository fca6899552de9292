"""Operators find runs by what they ask for, in pages, whatever becomes of the runs."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.errors import Invalid
from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client
from lineshaft.runs import index as run_index
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.index import RunFilter, RunIndex
from lineshaft.threads.thread import ThreadStore

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def found(client: Client, **where: Any) -> list[str]:
    return [row.run_id for row in (await RunIndex(client).page(RunFilter(**where))).runs]


async def indexes(desk: Desk) -> dict[str, set[str]]:
    keys, client = desk.client.keys, desk.client
    sets = {
        "open": await client.command("ZRANGE", keys.runs_open(), 0, -1),
        "runs": await client.command("SMEMBERS", keys.runs_open_in("runs")),
        "overflow": await client.command("SMEMBERS", keys.runs_open_in("overflow")),
        "ended": await client.command("ZRANGE", keys.runs_ended(), 0, -1),
        "failed": await client.command("ZRANGE", keys.runs_failed(), 0, -1),
    }
    return {name: {member.decode() for member in members} for name, members in sets.items() if members}


async def test_a_run_stands_in_the_index_of_what_it_is(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    assert await indexes(desk) == {"open": {run}, "runs": {run}}
    ((_, token),) = await desk.claim()
    await desk.client.script("run_hand_back", run_id=run, token=token)
    assert await indexes(desk) == {"open": {run}, "runs": {run}}
    ((_, token),) = await desk.claim()
    await desk.finish(run, token, "error", error_class="ValueError")
    assert await indexes(desk) == {"ended": {run}, "failed": {run}}
    await desk.client.script("run_forget", run_id=run, thread_id=thread, request="q")
    assert await indexes(desk) == {}


async def test_a_run_that_is_only_to_be_settled_changes_its_queue(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    put = {"ns": "", "checkpoint_id": "c1", "header": b"h", "anatomy_text": "\1\1", "values": []}
    await desk.client.script("checkpoint_put", run_id=run, token=token, owner=run, thread_id=thread, **put)
    await desk.client.script("run_hand_back", run_id=run, token=token)
    assert not await cancel(desk.client, thread, run, "rollback", "test")
    assert await indexes(desk) == {"open": {run}, "overflow": {run}}
    assert await desk.field(run, "home") == "runs"
    ((_, token),) = await desk.claim()
    await desk.finish(run, token, "interrupted", handled="rollback")
    assert await indexes(desk) == {}


async def test_what_goes_with_its_thread_goes_from_the_index(desk: Desk) -> None:
    thread = await desk.open()
    for _ in range(3):
        await desk.create(thread)
    ((run, token),) = await desk.claim()
    await desk.finish(run, token)
    await desk.claim()
    assert len((await indexes(desk))["open"]) == 2
    await ThreadStore(desk.client).delete(thread)
    desk.forget(thread)
    assert await indexes(desk) == {}


async def test_filters_find_what_they_name(desk: Desk) -> None:
    first, second = await desk.open(), await desk.open()
    failed = await desk.create(first)
    ((_, token),) = await desk.claim()
    await desk.finish(failed, token, "error", error_class="ValueError")
    running = await desk.create(first)
    await desk.claim()
    waiting = await desk.create(first)
    delayed = await desk.create(second, after_seconds=3600)
    client = desk.client
    every = await found(client)
    assert set(every[:3]) == {delayed, waiting, running} and every[3:] == [failed]
    assert await found(client, status="running") == await found(client, worker=desk.worker) == [running]
    assert set(await found(client, status="pending")) == {delayed, waiting}
    assert await found(client, status="error") == await found(client, error_class="ValueError") == [failed]
    assert await found(client, error_class="KeyError") == await found(client, graph="h") == []
    assert await found(client, thread=second) == [delayed]
    assert set(await found(client, thread=first, graph="g", queue="runs")) == {waiting, running, failed}
    assert await found(client, older_than=3600) == await found(client, queue="other") == []
    assert len(await found(client, newer_than=3600)) == 4
    rows = {row.run_id: row for row in (await RunIndex(client).page(RunFilter())).runs}
    assert {run: row.state for run, row in rows.items()} == {
        delayed: "delayed", waiting: "waiting", running: "running", failed: "ended",
    }  # fmt: skip
    assert rows[running].worker == desk.worker and rows[failed].error_class == "ValueError"


@pytest.mark.parametrize("looked_at", [1000, 3])
async def test_pages_show_every_run_once_also_of_one_millisecond(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    monkeypatch.setattr(run_index, "LOOKED_AT", looked_at)
    monkeypatch.setattr(run_index, "_AT_ONCE", 2)
    runs = [await desk.create(await desk.open()) for _ in range(9)]
    for run, token in await desk.claim(room=4):
        await desk.finish(run, token)
    still_open = (await indexes(desk))["open"]
    await desk.client.command("ZADD", desk.client.keys.runs_open(), *[x for run in still_open for x in (1, run)])
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await RunIndex(desk.client).page(RunFilter(graph="g"), limit=4, cursor=cursor)
        seen += [row.run_id for row in page.runs]
        cursor = page.next
    assert sorted(seen) == sorted(runs)


async def test_a_run_that_ends_between_two_pages_hides_no_other(desk: Desk) -> None:
    runs = [await desk.create(await desk.open()) for _ in range(4)]
    page = await RunIndex(desk.client).page(RunFilter(status="pending"), limit=2)
    shown = [row.run_id for row in page.runs]
    for run in shown:
        await cancel(desk.client, await desk.field(run, "thread") or "", run, "interrupt", "test")
    rest = await RunIndex(desk.client).page(RunFilter(status="pending"), cursor=page.next or "")
    assert {*shown, *(row.run_id for row in rest.runs)} == set(runs)


@pytest.mark.parametrize("cursor", ["x", "2:1:", "0:1:../..", "0:-inf:a"])
async def test_a_cursor_of_ones_own_making_is_refused(client: Client, cursor: str) -> None:
    with pytest.raises(Invalid, match="is no cursor"):
        await RunIndex(client).page(RunFilter(), cursor=cursor)


async def test_the_reconciler_trims_by_number_and_by_age(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    runs = []
    for _ in range(3):
        runs.append(await desk.create(thread))
        ((_, token),) = await desk.claim()
        await desk.finish(runs[-1], token, "error")
    client.settings = msgspec.structs.replace(client.settings, lineshaft_ended_runs_listed=2)
    assert (await Reconciler(client, "r").turn())["run that ended long ago in the index"] == 2  # of both indexes
    assert await indexes(desk) == {"ended": set(runs[1:]), "failed": set(runs[1:])}
    await client.command("ZADD", client.keys.runs_ended(), 5, runs[1])
    await Reconciler(client, "r").turn()
    assert (await indexes(desk))["ended"] == {runs[2]}


async def test_a_stateless_run_is_listed_as_long_as_its_record(desk: Desk, client: Client) -> None:
    await desk.open()
    run = await desk.create(None)
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    assert await found(client) == [run]
    await client.command("DEL", client.keys.run(run))  # as its TTL does
    assert await found(client) == []
    assert (await Reconciler(client, "r").turn())["run without a record in the index"] == 1
    assert await indexes(desk) == {}


async def test_runs_of_before_there_was_an_index_come_into_it(desk: Desk, client: Client) -> None:
    run = await desk.create(await desk.open())
    await client.command("DEL", client.keys.runs_open(), client.keys.runs_open_in("runs"))
    assert (await Reconciler(client, "r").turn())["run in no index"] == 1
    assert await indexes(desk) == {"open": {run}, "runs": {run}}


async def test_running_runs_are_found_among_however_many_that_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await found(desk.client, status="running") == await found(desk.client, worker="nobody") == []
    for _ in range(8):
        await desk.create(await desk.open())
    await desk.lease("other")
    claimed = {run for run, _ in [*await desk.claim(room=2), *await desk.claim(room=1, worker="other")]}
    monkeypatch.setattr(run_index, "LOOKED_AT", 2)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await RunIndex(desk.client).page(RunFilter(status="running"), limit=1, cursor=cursor)
        seen += [row.run_id for row in page.runs]
        cursor = page.next
    assert len(seen) == 3 and set(seen) == claimed
    assert len(await found(desk.client, worker="other")) == 1
    await desk.client.script("worker_release", worker="other", crashed=False, max_crashes=3)
