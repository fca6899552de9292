"""A run's record tells what became of each attempt, and when what happened."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.detail import read_detail

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def reasons(desk: Desk, run: str) -> list[tuple[int, str]]:
    return [(attempt.number, attempt.reason) for attempt in (await read_detail(desk.client, run)).attempts]


async def test_each_way_out_of_an_attempt_is_told(desk: Desk) -> None:
    run = await desk.create(await desk.open())
    client = desk.client
    assert await reasons(desk, run) == []
    ((_, token),) = await desk.claim()
    assert await reasons(desk, run) == [(1, "goes on")]
    await client.script("run_hand_back", run_id=run, token=token)
    ((_, token),) = await desk.claim()
    await client.script("run_lack", run_id=run, token=token, graph_id="g", patience=60_000, delay=0)
    ((_, token),) = await desk.claim()
    await client.script("run_take_back", run_id=run, token=token, max_crashes=9)
    for crashed in (False, True):
        await desk.lease("w")
        await desk.claim(worker="w")
        await client.script("worker_release", worker="w", crashed=crashed, max_crashes=9)
    ((_, token),) = await desk.claim()
    await client.script("run_append", run_id=run, token=token, batch=1, entries=["values", "d", b'{"a":1}'])
    await desk.finish(run, token, "error", error=b'{"error":"E","message":"m"}', error_class="E")
    assert await reasons(desk, run) == [
        (1, "handed back"), (1, "lacked its graph"), (1, "could not be ended"), (2, "worker stopped"),
        (2, "worker died"), (3, "failed"),
    ]  # fmt: skip
    detail = await read_detail(client, run)
    assert {attempt.worker for attempt in detail.attempts} == {desk.worker, "w"}
    assert {attempt.host for attempt in detail.attempts} == {"test"}
    assert detail.timeline.ready_at
    moments = [detail.timeline.made_at, detail.timeline.started_at, detail.timeline.first_event_at]
    moments.append(detail.timeline.ended_at)
    assert None not in moments and moments == sorted(moments, key=str)
    assert [event.event for event in detail.events] == ["end", "values", *["metadata"] * 6]
    assert all(event.data is None and event.bytes for event in detail.events)
    assert (detail.lease, detail.error) == (None, {"error": "E", "message": "m"})
    assert detail.run.error_class == "E"


async def test_a_lease_that_ran_out_is_told_apart_from_a_death(desk: Desk) -> None:
    run = await desk.create(await desk.open())
    await desk.lease("w")
    await desk.claim(worker="w")
    await desk.client.command("ZADD", desk.client.keys.workers(), "XX", 1, "w")
    await desk.client.command("SET", desk.client.keys.beat(), 9e12, "PX", 10_000)  # the fleet is not silent
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    assert await reasons(desk, run) == [(1, "lease lost"), (2, "finished")]


async def test_a_cancel_is_told_with_its_reason(desk: Desk) -> None:
    thread = await desk.open()
    running = await desk.create(thread)
    pending = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await cancel(desk.client, thread, pending, "interrupt", "not needed")
    await cancel(desk.client, thread, running, "interrupt", "enough")
    detail = await read_detail(desk.client, running)
    assert detail.cancelled and (detail.cancelled.action, detail.cancelled.reason) == ("interrupt", "enough")
    assert detail.lease and (detail.lease.worker, detail.lease.host) == (desk.worker, "test")
    assert 0 < detail.lease.seconds_left <= 10
    await desk.finish(running, token, "interrupted", handled="interrupt")
    assert await reasons(desk, running) == [(1, "cancelled")]
    ended = await read_detail(desk.client, pending)
    assert ended.cancelled and ended.cancelled.reason == "not needed" and ended.attempts == []


async def test_only_the_newest_attempts_are_kept(desk: Desk) -> None:
    run = await desk.create(await desk.open())
    for _ in range(25):
        ((_, token),) = await desk.claim()
        await desk.client.script("run_hand_back", run_id=run, token=token)
    assert len(await reasons(desk, run)) == 20


async def test_what_a_run_is_about_is_shown_only_where_that_is_allowed(desk: Desk, client: Client) -> None:
    run = await desk.create(await desk.open(), input={"secret": "x" * 100})
    detail = await read_detail(client, run)
    assert detail.input is None and detail.input_bytes and detail.input_bytes > 100
    client.settings = msgspec.structs.replace(client.settings, lineshaft_show_content=True)
    shown = await read_detail(client, run)
    assert shown.input and b"secret" in bytes(shown.input)


async def test_events_of_a_run_are_found_behind_those_of_later_ones(desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    await desk.create(thread)
    ((later, token),) = await desk.claim()
    for batch in range(60):
        await desk.client.script("run_append", run_id=later, token=token, batch=batch + 1, entries=["values", "d", "1"])
    assert "end" in [event.event for event in (await read_detail(desk.client, run)).events]
    await desk.finish(later, token)


async def test_an_unknown_run_has_no_detail(client: Client) -> None:
    with pytest.raises(NotFound):
        await read_detail(client, "nobody")
