"""stream_subgraphs: inner events, named `<mode>|<namespace>`."""

import re

from tests.contract.runs.calls import stream_run

MODES = ["values", "updates", "messages-tuple", "custom", "tasks"]


async def test_off_by_default_inner_messages_come_whole_not_as_tokens(http, thread):
    stream = await stream_run(http, thread, "nested", {}, stream_mode="messages-tuple")
    messages = [message for message, _ in stream.data("messages")]
    assert [(m["type"], m["content"]) for m in messages] == [
        ("human", "hello child"), ("ai", "echo: hello child"),
    ]  # fmt: skip


async def test_inner_events_carry_the_namespace_in_their_name(http, thread):
    stream = await stream_run(http, thread, "nested", {}, stream_mode=MODES, stream_subgraphs=True)
    inner = [e for e in stream.events if e.namespace]
    assert {e.mode for e in inner} == {"values", "updates", "messages", "custom", "tasks"}
    (namespace,) = {tuple(e.namespace) for e in inner}
    assert re.fullmatch(r"child:[0-9a-f-]{36}", namespace[0])


async def test_namespace_is_the_id_of_the_parent_task(http, thread):
    stream = await stream_run(http, thread, "nested", {}, stream_mode=["tasks", "values"], stream_subgraphs=True)
    parent = next(t for t in stream.data("tasks") if t["name"] == "child")
    assert {e.namespace[0] for e in stream.events if e.namespace} == {f"child:{parent['id']}"}


async def test_inner_updates_name_inner_nodes(http, thread):
    stream = await stream_run(http, thread, "nested", {}, stream_mode="updates", stream_subgraphs=True)
    inner = [next(iter(e.data)) for e in stream.events if e.mode == "updates" and e.namespace]
    outer = [next(iter(e.data)) for e in stream.events if e.mode == "updates" and not e.namespace]
    assert inner == ["inner", "talk"]
    assert outer == ["outer", "child", "last"]


async def test_inner_custom_chunks(http, thread):
    stream = await stream_run(http, thread, "nested", {}, stream_mode="custom", stream_subgraphs=True)
    (chunk,) = [e for e in stream.events if e.mode == "custom"]
    assert chunk.namespace and chunk.data == {"from": "inner"}


async def test_messages_mode_keeps_plain_event_names(http, thread):
    """Unlike every other mode, `messages` puts no namespace in the event name."""
    stream = await stream_run(http, thread, "nested", {}, stream_mode="messages", stream_subgraphs=True)
    assert {e.event for e in stream.events} <= {
        "metadata", "messages/metadata", "messages/partial", "messages/complete",
    }  # fmt: skip
    assert stream.data("messages/partial")[-1][0]["content"] == "echo: hello child"


async def test_interrupt_in_a_subgraph_shows_inside_and_at_the_root(http, thread):
    stream = await stream_run(http, thread, "nested", {"pause": True}, stream_subgraphs=True)
    carriers = [e for e in stream.events if e.mode == "values" and "__interrupt__" in e.data]
    assert [bool(e.namespace) for e in carriers] == [True, False]
    assert {e.data["__interrupt__"][0]["value"] for e in carriers} == {"child asks"}
