"""Protocol v2: which events a subscription brings, and from where on."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore
from lineshaft_api import follow

from .gateway import Gateway, serving
from .subscriber import COUNT, begin, lifecycle, replayed, run, subscribed, whole


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


# subscriptions
@pytest.mark.parametrize(
    ("channels", "methods"),
    [
        (["lifecycle"], ["lifecycle"]),
        (["input"], ["input.requested"]),
        (["custom:steps"], ["custom"]),
        (["custom:other", "tools"], ["tools"]),
    ],
)
async def test_channels(gateway: Gateway, channels: list[str], methods: list[str]) -> None:
    thread = await gateway.thread()
    chosen = [e for e in await whole(gateway, thread) if e["method"] in methods]
    if "custom:steps" in channels:
        chosen = [e for e in chosen if e["params"]["data"].get("name") == "steps"]
    assert await replayed(gateway, thread, len(chosen), channels=channels) == chosen


@pytest.mark.parametrize(
    ("params", "namespaces"),
    [
        ({"namespaces": [[]], "depth": 0}, {""}),
        ({"namespaces": [["child"]]}, {"child:1", "child:1|deep:2"}),
        ({"namespaces": [["child:1"]], "depth": 0}, {"child:1"}),
        ({"namespaces": [["child:2"], ["child", "deep"]]}, {"child:1|deep:2"}),
        ({"namespaces": [["chi"], ["tools"]]}, {"tools:c|1"}),
        ({"namespaces": "no list", "depth": "no number", "since": "none"}, None),
        ({"namespaces": [["child", 1]], "depth": -1, "since": True}, None),
        ({"namespaces": [], "depth": 0}, None),
    ],
)
async def test_namespaces(gateway: Gateway, params: dict[str, Any], namespaces: set[str] | None) -> None:
    thread = await gateway.thread()
    everything = await whole(gateway, thread)
    chosen = [e for e in everything if namespaces is None or "|".join(e["params"]["namespace"]) in namespaces]
    assert chosen
    assert await replayed(gateway, thread, len(chosen), **params) == chosen


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"channels":[]}', b'{"channels":["custom:"]}', b'"x"'])
async def test_what_is_no_subscription(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.json("POST", f"/threads/{uuid7()}/stream/events", 400, data=body)
    assert answer["detail"]


# the thread
async def test_a_thread_may_be_made_later_and_its_deletion_is_the_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    await gateway.thread()  # the graph is known
    thread = uuid7()
    async with subscribed(gateway, thread) as subscriber:
        await subscriber.heartbeat()
        await ThreadStore(gateway.client).create(thread)
        await run(gateway, thread, ("values", 1))
        await subscriber.read(3)
        await ThreadStore(gateway.client).delete(thread)
        assert len(await subscriber.rest()) == 3


async def test_changes_of_the_state_are_no_events(gateway: Gateway) -> None:
    thread = await gateway.thread()
    client = gateway.client
    await client.command("SET", client.keys.query("q"), "?", "EX", 10)
    lock = {"lock_id": "q", "thread_id": thread, "worker": gateway.desk.worker, "query_id": "q"}
    token = await client.script("state_lock", **lock)
    await client.script(
        "state_unlock", lock_id="q", token=token, rev=1, thread_status="idle", state=b"{}", interrupts=b"{}", forget="",
        events_ttl=60_000, event=["state_update", "d", b"{}"],
    )  # fmt: skip
    await run(gateway, thread)
    assert lifecycle(await replayed(gateway, thread, 2)) == ["running", "completed"]


async def test_lost_events_are_told_to_who_has_read_before(gateway: Gateway) -> None:
    """Also to the first who watches a thread, to whom the hub itself brings the events."""
    thread = await gateway.thread()
    await run(gateway, thread, *[("values", n) for n in range(5)])
    everything = await replayed(gateway, thread, 7)
    key = gateway.client.keys.thread_events(thread)
    lost = [row[0].decode() for row in await gateway.client.command("XRANGE", key, "-", "+", "COUNT", 3)]
    await gateway.client.command("XDEL", key, *lost)
    await gateway.client.command("HSET", gateway.client.keys.thread(thread), "log_trimmed", lost[-1])
    gap, *rest = await replayed(gateway, thread, 5, since=everything[0]["seq"], channels=["values", "lifecycle"])
    assert (gap["method"], gap["params"]["data"]["reason"]) == ("gap", "older events have been dropped")
    assert rest == everything[3:]
    assert await replayed(gateway, thread, 4) == everything[3:]
    assert await replayed(gateway, thread, 3, since=everything[3]["seq"]) == everything[4:]


async def test_an_event_that_is_too_large_is_told(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.emit("gap", {"reason": "the event is too large", "event": "values", "bytes": 17_000_000})
    await attempt.finish()
    events = await replayed(gateway, thread, 3, channels=["lifecycle"])
    assert [event["method"] for event in events] == ["lifecycle", "gap", "lifecycle"]


async def test_a_gateway_that_stops_breaks_off(gateway: Gateway) -> None:
    """A stream that just ended would be the end of the run for a client; now it goes on elsewhere."""
    thread = await gateway.thread()
    async with subscribed(gateway, thread) as subscriber:
        await run(gateway, thread)
        seen = await subscriber.read(2)
        stopping = asyncio.create_task(gateway.stop())
        with pytest.raises(aiohttp.ClientError):
            await subscriber.rest()
        await stopping
    async with (
        serving(gateway.client, gateway.client.settings) as other,
        subscribed(other, thread, since=seen[-1]["seq"]) as subscriber,
    ):
        await run(gateway, thread)
        events = await subscriber.read(2)
    assert lifecycle(events) == ["running", "completed"] and events[0]["seq"] > seen[-1]["seq"]


async def test_one_reads_from_since_and_not_the_whole_log(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    for _ in range(10):
        await attempt.emit("values", *range(200))
    await attempt.finish()
    last = (await replayed(gateway, thread, 2002))[-1]["seq"]
    before = await gateway.client.redis.info("stats")
    assert lifecycle(await replayed(gateway, thread, 1, since=last - 1)) == ["completed"]
    after = await gateway.client.redis.info("stats")
    # The log is some 100 kB; what a reconnection costs (connections of clients and their scripts too) is a few.
    assert after["total_net_output_bytes"] - before["total_net_output_bytes"] < 30_000


# numbers
async def test_ids_and_numbers_are_the_same_on_every_gateway(gateway: Gateway) -> None:
    thread = await gateway.thread()
    first = await whole(gateway, thread)
    assert len({event["event_id"] for event in first}) == COUNT
    numbers = [event["seq"] for event in first]
    assert numbers == sorted(set(numbers))
    async with serving(gateway.client, gateway.client.settings) as other:
        assert await replayed(other, thread, COUNT) == first


async def test_each_since_brings_just_the_rest(gateway: Gateway) -> None:
    thread = await gateway.thread()
    first = await whole(gateway, thread)
    for seen in range(1, COUNT - 1):
        assert await replayed(gateway, thread, COUNT - seen, since=first[seen - 1]["seq"]) == first[seen:]


async def test_numbers_go_on_over_runs(gateway: Gateway) -> None:
    thread = await gateway.thread()
    for n in range(3):
        await run(gateway, thread, ("values", n))
    events = await replayed(gateway, thread, 9)
    assert all(before["seq"] < after["seq"] for before, after in itertools.pairwise(events))
    assert lifecycle(events) == ["running", "completed"] * 3


async def test_a_number_that_was_never_given_hides_nothing(gateway: Gateway) -> None:
    """A client may have it of a thread that was deleted and made again."""
    thread = await gateway.thread()
    async with subscribed(gateway, thread, since=1_000_000) as subscriber:
        await run(gateway, thread)
        assert lifecycle(await subscriber.read(2)) == ["running", "completed"]
