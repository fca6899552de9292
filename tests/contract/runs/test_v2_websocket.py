"""Protocol v2: commands and events on one WebSocket."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from tests.contract.runs.protocol_v2 import is_root_end


class Socket:
    """Replies by command id; events in order."""

    def __init__(self, connection):
        self.connection = connection
        self.events = []
        self.next_id = 0

    async def receive(self):
        message = json.loads(await asyncio.wait_for(self.connection.recv(), 15))
        if message["type"] == "event":
            self.events.append(message)
        return message

    async def command(self, method, params=None):
        self.next_id += 1
        body = {"id": self.next_id, "method": method, "params": params or {}}
        await self.connection.send(json.dumps(body))
        while True:
            message = await self.receive()
            if message["type"] != "event" and message["id"] == self.next_id:
                return message

    async def until_end(self):
        while not any(is_root_end(e) for e in self.events):
            await self.receive()


@pytest.fixture
async def socket(base_url, thread):
    url = base_url.replace("http", "ws", 1) + f"/threads/{thread}/stream/events"
    async with connect(url) as connection:
        yield Socket(connection)


async def test_no_events_without_a_subscription(socket):
    await socket.command("run.start", {"assistant_id": "linear", "input": {}})
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(socket.receive(), 2)


async def test_interrupt_and_respond_on_the_socket(socket):
    await socket.command("subscription.subscribe", {"channels": ["input", "lifecycle", "values"]})
    await socket.command("run.start", {"assistant_id": "ask", "input": {"topic": "x"}})
    await socket.until_end()
    requested = next(e for e in socket.events if e["method"] == "input.requested")
    ident = requested["params"]["data"]["interrupt_id"]
    wrong = {"namespace": ["elsewhere"], "interrupt_id": ident, "response": "r"}
    assert (await socket.command("input.respond", wrong))["error"] == "no_such_interrupt"
    socket.events.clear()
    reply = await socket.command("input.respond", {**wrong, "namespace": []})
    assert reply["type"] == "success"
    await socket.until_end()
    assert socket.events[-2]["params"]["data"]["log"] == ["prepare", "ask:r", "finish"]


async def test_tree_of_namespaces(socket):
    await socket.command("subscription.subscribe", {"channels": ["lifecycle"]})
    await socket.command("run.start", {"assistant_id": "nested", "input": {}})
    await socket.until_end()
    tree = (await socket.command("agent.getTree"))["result"]["tree"]
    assert (tree["namespace"], tree["graph_name"], tree["status"]) == ([], "nested", "completed")
    (child,) = tree["children"]
    assert (child["graph_name"], child["status"]) == ("child", "completed")


async def test_a_second_subscription_replays_the_current_run(socket):
    await socket.command("subscription.subscribe", {"channels": ["lifecycle"]})
    await socket.command("run.start", {"assistant_id": "linear", "input": {"log": []}})
    await socket.until_end()
    reply = await socket.command("subscription.subscribe", {"channels": ["values"]})
    assert reply["result"]["replayed_events"] == 4


async def test_unsubscribe_stops_the_events(socket):
    reply = await socket.command("subscription.subscribe", {"channels": ["values"]})
    ident = {"subscription_id": reply["result"]["subscription_id"]}
    assert (await socket.command("subscription.unsubscribe", ident))["result"] == {}
    again = await socket.command("subscription.unsubscribe", ident)
    assert again["error"] == "no_such_subscription"


async def test_malformed_frames_get_an_error_reply_and_the_socket_lives(socket):
    await socket.connection.send("{")
    reply = await socket.receive()
    assert (reply["type"], reply["id"], reply["error"]) == ("error", None, "invalid_argument")
    await socket.connection.send(json.dumps({"method": "run.start"}))
    assert (await socket.receive())["error"] == "invalid_argument"
    assert (await socket.command("nope"))["error"] == "unknown_command"
