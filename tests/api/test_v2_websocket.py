"""Protocol v2 on a WebSocket."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore
from lineshaft_api import follow
from tests.shared.until import until

from .connection import connected
from .gateway import Gateway, serving
from .subscriber import ALL_KINDS, EVERYTHING, begin, lifecycle, replayed, run, shown, whole


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def test_events_are_those_of_the_stream(gateway: Gateway) -> None:
    thread = await gateway.thread()
    everything = await whole(gateway, thread)
    async with connected(gateway, thread) as socket:
        assert (await socket.subscribe())["replayed_events"] == 0
        assert await socket.read(len(everything)) == everything


async def test_a_subscription_begins_where_it_wants(gateway: Gateway) -> None:
    """As the Python SDK does when it comes back."""
    thread = await gateway.thread()
    everything = await whole(gateway, thread)
    async with connected(gateway, thread) as socket:
        await socket.subscribe(since=everything[4]["seq"])
        assert await socket.read(len(everything) - 5) == everything[5:]


async def test_an_event_is_sent_once(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket:
        await socket.subscribe(["lifecycle"])
        await socket.subscribe(["lifecycle", "values"])
        await run(gateway, thread, ("values", 1))
        assert [method for method, _, _ in shown(await socket.read(3))] == ["lifecycle", "values", "lifecycle"]
        assert len({event["event_id"] for event in socket.events}) == 3


async def test_a_later_subscription_gets_what_the_present_run_has_shown(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await run(gateway, thread, ("values", "of an earlier run"))
    async with connected(gateway, thread) as socket:
        await socket.subscribe(["lifecycle"])
        attempt = await begin(gateway, thread)
        await attempt.emit("values", 1, 2)
        await socket.read(3)
        # What comes after the start may not have been read yet: then it comes by itself.
        reply = await socket.subscribe(["values"])
        await attempt.emit("values", 3)
        await attempt.finish()
        await socket.read(7)
        values = [event["params"]["data"] for event in socket.events if event["method"] == "values"]
        assert values == [1, 2, 3]
        assert reply["replayed_events"] in (0, 2)
        again = await socket.subscribe(["values"])
        assert again["replayed_events"] == 3


async def test_replays_come_before_their_reply(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await run(gateway, thread, *(("values", n) for n in range(3)))
    async with connected(gateway, thread) as socket:
        await socket.subscribe(["lifecycle"])
        await socket.read(2)
        assert (await socket.subscribe(["values"]))["replayed_events"] == 3
        assert [event["method"] for event in socket.events] == ["lifecycle"] * 2 + ["values"] * 3


async def test_what_is_unsubscribed_comes_no_more(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket:
        first = await socket.subscribe(["values"])
        await socket.subscribe(["lifecycle"])
        assert (await socket.command("subscription.unsubscribe", **first))["result"] == {}
        await run(gateway, thread, ("values", 1))
        assert [method for method, _, _ in shown(await socket.read(2))] == ["lifecycle"] * 2


async def test_a_reply_says_how_far_events_were_sent(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await run(gateway, thread)
    async with connected(gateway, thread) as socket:
        assert (await socket.command("run.start", assistant_id="g"))["meta"] == {"applied_through_seq": 0}
        await socket.subscribe(["lifecycle"])
        last = (await socket.read(2))[-1]["seq"]
        assert (await socket.command("run.start", assistant_id="g"))["meta"] == {"applied_through_seq": last}
        await (await gateway.claim()).finish()
        await socket.read(4)


async def test_commands_go_on_while_events_come(gateway: Gateway) -> None:
    """An answer may have to wait some seconds for the end of the run, which its events must not."""
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket:
        await socket.subscribe()
        await socket.command("run.start", assistant_id="g")
        attempt = await gateway.claim()
        await attempt.emit("input.requested|child:1", {"interrupt_id": "i1", "payload": "?"})
        await socket.read(2)
        params = {"interrupt_id": "i1", "response": "yes", "namespace": ["elsewhere"]}
        refused = await socket.command("input.respond", **params)
        assert refused["error"] == "no_such_interrupt" and "namespace" in refused["message"]
        params["namespace"] = ["child:1"]
        responding = asyncio.create_task(socket.command("input.respond", **params))
        await until(lambda: len(gateway.hub._watchers[thread]) == 2, "the answer waits")
        await attempt.emit("values", 1)
        await until(lambda: len(socket.events) == 3, "an event comes meanwhile")
        asked = b'{"task":[{"id":"i1","value":"?"}]}'
        await attempt.finish(thread_status="interrupted", interrupts=asked)
        assert (await responding)["type"] == "success"
        await (await gateway.claim()).finish()
        await socket.read(6)
    assert lifecycle(socket.events) == ["running", "interrupted", "running", "completed"]


async def test_the_tree(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket:
        assert (await socket.command("agent.getTree"))["error"] == "no_such_run"
        await socket.subscribe(["lifecycle"])
        attempt = await begin(gateway, thread)
        for name, data in ALL_KINDS[:3]:
            await attempt.emit(name, data)
        deep = ["child:1", "deep:2"]
        await attempt.emit("lifecycle|child:1|deep:2", {"event": "started", "namespace": deep, "graph_name": "deep"})
        await socket.read(3)
        deepest = {"namespace": deep, "status": "started", "graph_name": "deep"}
        child = {"namespace": ["child:1"], "status": "started", "graph_name": "child", "children": [deepest]}
        tree = (await socket.command("agent.getTree"))["result"]["tree"]
        assert tree == {"namespace": [], "status": "running", "graph_name": "g", "children": [child]}
        error = b'{"error":"E","message":"m"}'
        await attempt.finish("error", error=error, entries=["error", "d", error])
        await socket.read(4)
        tree = (await socket.command("agent.getTree"))["result"]["tree"]
        assert (tree["status"], tree["children"][0]["status"]) == ("failed", "failed")
        await begin(gateway, thread)
        await socket.read(5)
        tree = (await socket.command("agent.getTree"))["result"]["tree"]
        assert tree == {"namespace": [], "status": "running", "graph_name": "g"}


# reconnect
async def test_a_new_connection_goes_on(gateway: Gateway) -> None:
    thread = await gateway.thread()
    everything = await whole(gateway, thread)
    async with connected(gateway, thread) as socket:
        since = everything[5]["seq"]
        reply = await socket.command("subscription.reconnect", channels=EVERYTHING, since=since, subscription_id="mine")
        assert reply["result"] == {"subscription_id": "mine", "replayed_events": len(everything) - 6}
        assert socket.events == everything[6:]
        assert (await socket.command("agent.getTree"))["result"]["tree"]["status"] == "interrupted"
        await run(gateway, thread)
        assert lifecycle(await socket.read(len(everything) - 4))[-2:] == ["running", "completed"]
        again = await socket.command("subscription.reconnect", channels=["values"], since=0)
        assert again["result"]["replayed_events"] == 2


async def test_what_is_gone_is_said(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket:
        assert (await socket.command("subscription.reconnect", channels=["values"], since=1))["error"] == "no_such_run"
        assert (await socket.command("subscription.reconnect", channels=["values"]))["error"] == "invalid_argument"
        everything = await whole(gateway, thread)
        key = gateway.client.keys.thread_events(thread)
        lost = [row[0].decode() for row in await gateway.client.command("XRANGE", key, "-", "+", "COUNT", 3)]
        await gateway.client.command("XDEL", key, *lost)
        await gateway.client.command("HSET", gateway.client.keys.thread(thread), "log_trimmed", lost[-1])
        reply = await socket.command("subscription.reconnect", channels=EVERYTHING, since=1)
        assert (reply["error"], reply["since"], reply["min_available_seq"]) == (
            "resume_gap", 1, everything[3]["seq"],
        )  # fmt: skip


# frames
@pytest.mark.parametrize("frame", ["{", "[]", '{"method":"run.start"}', b"{}"])
async def test_what_is_no_command_gets_an_error_and_the_socket_lives(gateway: Gateway, frame: str | bytes) -> None:
    async with connected(gateway, await gateway.thread()) as socket:
        await (socket.socket.send_bytes(frame) if isinstance(frame, bytes) else socket.socket.send_str(frame))
        reply = await socket.receive()
        assert (reply["type"], reply["id"], reply["error"]) == ("error", None, "invalid_argument")
        assert (await socket.command("nope"))["error"] == "unknown_command"


async def test_without_a_websocket_there_is_nothing_to_get(gateway: Gateway) -> None:
    answer = await gateway.json("GET", f"/threads/{uuid7()}/stream/events", 400)
    assert "WebSocket" in answer["detail"]


# ends
async def test_a_gateway_that_stops_says_so(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket, connected(gateway, thread) as idle:
        await socket.subscribe()
        stopping = asyncio.create_task(gateway.stop())
        assert await socket.closed() == await idle.closed() == 1012
        await stopping


async def test_the_deletion_of_a_thread_is_the_end(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    await gateway.thread()  # the graph is known
    thread = (await ThreadStore(gateway.client).create()).thread_id
    async with connected(gateway, thread) as socket:
        await socket.subscribe()
        await run(gateway, thread)
        await socket.read(2)
        await ThreadStore(gateway.client).delete(thread)
        assert await socket.closed() == 4404


async def test_a_client_that_leaves_leaves_nothing_behind(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as socket:
        await socket.subscribe()
        await gateway.watched(thread)
    await until(lambda: thread not in gateway.hub._watchers, "nobody watches")


async def test_a_client_that_does_not_read_costs_nobody_else(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with connected(gateway, thread) as deaf, connected(gateway, thread) as socket:
        await deaf.subscribe()
        await socket.subscribe(["lifecycle"])
        deaf.socket._reader._protocol.pause_reading()  # its kernel takes some, then nobody
        attempt = await begin(gateway, thread)
        for _ in range(100):
            await attempt.emit("values", "x" * 200_000)
        await attempt.finish()
        assert lifecycle(await socket.read(2)) == ["running", "completed"]
        assert len(await replayed(gateway, thread, 102)) == 102
        # What is not sent waits in Redis, not here.
        server = gateway.runner.server
        assert server is not None
        unsent = [c.transport.get_write_buffer_size() for c in server.connections if c.transport is not None]
        assert 0 < max(unsent) < 1_000_000
        deaf.socket._reader._protocol.resume_reading()
        assert len(await deaf.read(102)) == 102
