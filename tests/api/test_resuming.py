"""Joining a resumable run's stream with `Last-Event-ID`, whatever that says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.events.log import EventLog, redis_id
from lineshaft.redis.client import Client
from lineshaft_api.hub import Hub

from .gateway import Gateway, events, frames, replayed, running, serving


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def test_a_running_resumable_run_is_replayed_and_then_live(gateway: Gateway) -> None:
    attempt, path = await running(gateway, stream_resumable=True)
    live = await gateway.ask("GET", f"{path}/stream", headers={"Last-Event-ID": "-1"})
    await gateway.watched(attempt.thread)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    seen = frames((await live)[1])
    assert [data for event, data, _ in seen if event == "values"] == [{"n": 0}, {"n": 1}]
    assert seen[0][0] == "metadata"
    # The same, ids included, however late.
    assert await replayed(gateway, path, "0") == seen


@pytest.mark.parametrize("last_id", ["9999999999999-0000", "garbage"])
async def test_an_id_that_was_never_given_hides_nothing_that_comes(gateway: Gateway, last_id: str) -> None:
    """As all ids came before it as text, the stream stayed empty to its end."""
    attempt, path = await running(gateway, stream_resumable=True)
    live = await gateway.ask("GET", f"{path}/stream", headers={"Last-Event-ID": last_id})
    await gateway.watched(attempt.thread)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    assert events((await live)[1]) == [("values", {"n": 1})]


@pytest.mark.parametrize("last_id", ["9999999999999-0000", "garbage", ""])
async def test_of_a_pending_run_all_is_to_come_whatever_the_id(gateway: Gateway, last_id: str) -> None:
    thread = await gateway.thread()
    path = f"/threads/{thread}/runs/{await gateway.create(thread, stream_resumable=True)}"
    joining = await gateway.ask("GET", f"{path}/stream", headers={"Last-Event-ID": last_id})
    attempt = await gateway.claim()
    await attempt.finish()
    assert [event for event, _ in events((await joining)[1])] == ["metadata"]


async def test_an_empty_id_is_none(gateway: Gateway) -> None:
    attempt, path = await running(gateway, stream_resumable=True)
    joining = await gateway.ask("GET", f"{path}/stream", headers={"Last-Event-ID": ""})
    await gateway.watched(attempt.thread)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    assert events((await joining)[1]) == [("values", {"n": 1})]
    assert await replayed(gateway, path, "") == []


async def test_who_reconnects_reads_on_from_there(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the run was read again, and thrown away, for each client that came back."""
    attempt, path = await running(gateway, stream_resumable=True)
    await attempt.emit("values", *({"n": n} for n in range(1, 100)))
    page = await EventLog(gateway.client).read(attempt.thread, "0-0")
    begun: list[str] = []
    watch = Hub.watch

    def watched(self: Hub, thread_id: str, after: str) -> Any:
        begun.append(after)
        return watch(self, thread_id, after)

    monkeypatch.setattr(Hub, "watch", watched)
    joining = await gateway.ask("GET", f"{path}/stream", headers={"Last-Event-ID": page[50].id})
    await gateway.watched(attempt.thread)
    await attempt.finish()
    assert [data["n"] for _, data in events((await joining)[1])] == list(range(50, 100))
    assert begun == [redis_id(page[50].id)]


async def test_replays_of_a_finished_run(gateway: Gateway) -> None:
    attempt, path = await running(gateway, stream_resumable=True)
    await attempt.emit("values", *({"n": n} for n in range(1, 700)))  # more than one page of the log
    await attempt.finish()
    await gateway.create(attempt.thread)
    other = await gateway.claim()
    await other.emit("values", {"other": True})
    whole = await replayed(gateway, path, "0")
    assert [event for event, _, _ in whole] == ["metadata"] + ["values"] * 700
    assert await replayed(gateway, path, "-1") == whole
    assert await replayed(gateway, path, whole[-3][2]) == whole[-2:]
    assert await replayed(gateway, path, whole[-1][2]) == []
    assert await replayed(gateway, path, "garbage") == []
    assert await replayed(gateway, path) == []
    await other.finish()


async def test_a_replay_of_what_has_expired_is_one_gap(gateway: Gateway, client: Client) -> None:
    """Who had seen the run's beginning was told nothing, who had not twice."""
    attempt, path = await running(gateway, stream_resumable=True)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    whole = await replayed(gateway, path, "0")
    await client.command("DEL", client.keys.thread_events(attempt.thread))
    for seen in ("0", whole[1][2]):
        ((event, data, _),) = await replayed(gateway, path, seen)
        assert (event, data["reason"]) == ("gap", "older events have been dropped")


async def test_what_a_running_run_has_lost_is_told_to_the_first_who_watches(gateway: Gateway, client: Client) -> None:
    """The hub brought him what is left, and nothing told him that it was not all."""
    attempt, path = await running(gateway, stream_resumable=True)
    key = client.keys.thread_events(attempt.thread)
    (first, _), (second, _) = await client.command("XRANGE", key, "-", "+")
    await client.command("XDEL", key, first, second)
    await client.command("HSET", client.keys.thread(attempt.thread), "log_trimmed", second)
    replaying = asyncio.create_task(replayed(gateway, path, "0"))
    await gateway.watched(attempt.thread)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    assert [event for event, _, _ in await replaying] == ["gap", "values"]
