"""Protocol v2: its clients see the runs that others have started, too."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_protocol import protocol as definitions
from pydantic import TypeAdapter

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client

from .gateway import Attempt, Gateway, serving
from .subscriber import lifecycle, replayed, shown, subscribed

Messages = list[dict[str, Any]]


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def begin(gateway: Gateway, thread: str) -> Attempt:
    await gateway.desk.create(thread, stream_resumable=True)
    return await gateway.claim()


def chunk(ident: str, text: str = "", *, last: bool = False, calls: Any = ()) -> list[Any]:
    """A piece of a message, in the `messages-tuple` mode."""
    position = "last" if last else None
    message = {"type": "AIMessageChunk", "id": ident, "content": text, "tool_call_chunks": calls}
    return [{**message, "chunk_position": position}, {"ls_model_type": "chat"}]


def ai(ident: str, text: str, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"type": "ai", "id": ident, "content": text, "tool_calls": list(calls)}


async def messages(gateway: Gateway, thread: str, count: int) -> Messages:
    """The parts of messages, each as the protocol says."""
    events = await replayed(gateway, thread, count, channels=["messages"])
    parts: Messages = [event["params"]["data"] for event in events]
    check = TypeAdapter(definitions.MessagesData)
    for part in parts:
        if part.get("role") != "tool":  # of the protocol's roles it is none; the reference sends it all the same
            check.validate_python(part)
    return parts


def told(parts: Messages) -> dict[str, list[Any]]:
    """What is finished, by message."""
    finished: dict[str, list[Any]] = {part["id"]: [] for part in parts if part["event"] == "message-start"}
    for part in parts:
        if part["event"] == "content-block-finish":
            finished[part["message_id"]].append(part["content"])
    assert sum(part["event"] == "message-finish" for part in parts) == len(finished)
    return finished


async def test_values_updates_and_the_rest(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with subscribed(gateway, thread) as subscriber:
        attempt = await begin(gateway, thread)
        await attempt.emit("values", {"n": 1})
        await attempt.emit("updates", {"a": {"n": 2}, "b": None})
        await attempt.emit("updates|child:1", {"inner": {"n": 3}, "__metadata__": {"cached": True}})
        await attempt.emit("custom", {"any": "thing"})
        await attempt.emit("tasks", {"id": "t"})
        await attempt.emit("debug", {"type": "task"})
        await attempt.finish()
        events = await subscriber.read(8)
    assert shown(events)[1:-1] == [
        ("values", "", {"n": 1}),
        ("updates", "", {"n": 2}),
        ("updates", "", None),
        ("updates", "child:1", {"n": 3}),
        ("custom", "", {"any": "thing"}),
        ("tasks", "", {"id": "t"}),
    ]
    assert [event["params"].get("node") for event in events[2:5]] == ["a", "b", "inner"]
    assert lifecycle(events) == ["running", "completed"]
    assert events[3]["event_id"] == f"{events[2]['event_id']}.1" and events[3]["seq"] == events[2]["seq"] + 1
    assert await replayed(gateway, thread, 8) == events


async def test_nothing_of_an_entry_with_very_many_events_is_lost(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    count = 10_001  # one more than an entry has numbers
    await attempt.emit("updates", {f"node {n}": {"n": n} for n in range(count)})
    await attempt.finish()
    events = await replayed(gateway, thread, count + 2)
    assert [data["n"] for method, _, data in shown(events) if method == "updates"] == list(range(count))
    assert lifecycle(events) == ["running", "completed"]
    assert events[count - 1]["seq"] == events[count]["seq"] < events[count + 1]["seq"]
    # Somebody who has seen half of them gets the other half.
    seen = 5000
    rest = await replayed(gateway, thread, count + 2 - seen, since=events[seen - 1]["seq"])
    assert rest == events[seen:]


async def test_an_interrupt_is_told_once_where_it_was_asked(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    asked = {"__interrupt__": [{"id": "i1", "value": "sure?"}]}
    await attempt.emit("updates|child:1", asked)
    await attempt.emit("values|child:1", {"n": 1, **asked})
    await attempt.emit("values", {"n": 1, **asked})
    await attempt.finish(thread_status="interrupted")
    events = await replayed(gateway, thread, 5)
    assert shown(events)[1:-1] == [
        ("input.requested", "child:1", {"interrupt_id": "i1", "payload": "sure?", "value": "sure?"}),
        ("values", "child:1", {"n": 1}),
        ("values", "", {"n": 1}),
    ]
    assert events[1]["event_id"] == f"synth:{attempt.run}:input|child:1|i1"
    assert lifecycle(events) == ["running", "interrupted"]


async def test_chunks_are_blocks(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.emit("messages", chunk("m1", "Let "), chunk("m2", "Well"), chunk("m1", "me add"))
    await attempt.emit("updates", {"other": None})  # of a node beside it: the messages go on
    await attempt.emit(
        "messages",
        chunk("m1", calls=[{"index": 0, "id": "c1", "name": "add", "args": '{"a":'}]),
        chunk("m1", calls=[{"index": 0, "id": None, "name": None, "args": " 2}"}]),
        chunk("m1", last=True),
    )
    await attempt.finish()
    parts = await messages(gateway, thread, 15)
    assert told(parts) == {
        "m1": [
            {"type": "text", "text": "Let me add"},
            {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 2}},
        ],
        "m2": [{"type": "text", "text": "Well"}],
    }
    assert [part["delta"]["args"] for part in parts if part.get("delta", {}).get("type") == "tool-call-delta"] == [
        '{"a":', " 2}",
    ]  # fmt: skip


async def test_arguments_that_never_become_whole(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.emit("messages", chunk("m1", calls=[{"index": 0, "id": "c1", "name": "add", "args": '{"a":'}]))
    await attempt.finish()
    ((call,),) = told(await messages(gateway, thread, 5)).values()
    assert (call["type"], call["args"]) == ("invalid_tool_call", '{"a":')


async def test_messages_that_grow_are_blocks(gateway: Gateway) -> None:
    """In the `messages` mode a message ends with the step of its graph."""
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    call = {"id": "c1", "name": "add", "args": {"a": 2}}
    await attempt.emit("messages/metadata", {"m1": {}})
    for text in ("echo", "echo: hi", "echo: hi"):
        await attempt.emit("messages/partial", [ai("m1", text)])
    await attempt.emit("messages/partial", [ai("m1", "echo: hi", call)])
    await attempt.emit("values", {"n": 1})
    await attempt.emit("messages/complete", [{"type": "tool", "tool_call_id": "c1", "content": "3"}])
    await attempt.emit("messages/complete", [ai("m2", "made by a node")])
    await attempt.finish()
    parts = await messages(gateway, thread, 13)
    assert told(parts[:8]) == {"m1": [{"type": "text", "text": "echo: hi"}, {"type": "tool_call", **call}]}
    assert [part["delta"]["text"] for part in parts[:8] if "delta" in part] == ["echo", ": hi"]
    assert parts[8] == {"event": "message-start", "role": "tool", "id": "tool-c1"}


async def test_a_whole_message_of_a_model(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    blocks = [{"type": "text", "text": "all "}, {"type": "image"}, "at once"]
    await attempt.emit(
        "messages", [{**ai("m1", ""), "content": blocks}, {"ls_model_type": "chat"}], [ai("m2", "a"), {}]
    )
    await attempt.finish()
    assert told(await messages(gateway, thread, 5)) == {"m1": [{"type": "text", "text": "all at once"}]}


async def test_each_since_brings_just_the_rest(gateway: Gateway) -> None:
    """Also in the middle of a message, whose later parts depend on the earlier ones."""
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.emit("messages", chunk("m1", "Hello"), chunk("m1", " you"), chunk("m1", last=True))
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    whole = await replayed(gateway, thread, 9)
    for seen in range(1, 8):
        assert await replayed(gateway, thread, 9 - seen, since=whole[seen - 1]["seq"]) == whole[seen:]


async def test_a_new_attempt_begins_its_messages_anew(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.emit("messages", chunk("m1", "Hel"))
    await attempt.crash()
    attempt = await gateway.claim()
    await attempt.emit("messages", chunk("m1", "Hello", last=True))
    await attempt.finish()
    parts = await messages(gateway, thread, 8)
    assert [part["event"] for part in parts][3:5] == ["message-start", "content-block-start"]
    assert parts[6]["content"] == {"type": "text", "text": "Hello"}
