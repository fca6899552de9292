"""Protocol v2: POST /threads/{id}/stream/events."""

import pytest

from tests.contract.runs.calls import human, new_id, until, until_thread
from tests.contract.runs.protocol_v2 import methods, payloads, root_ends, start, subscribe, watch_run


async def test_event_envelope(http, thread):
    for event in await watch_run(http, thread, "linear", {}):
        assert event["type"] == "event"
        assert event["event_id"] and isinstance(event["seq"], int)
        assert event["params"]["namespace"] == []
        assert event["params"]["timestamp"] > 1_600_000_000_000
        assert "data" in event["params"]


async def test_a_run_is_framed_by_root_lifecycle_events(http, thread):
    events = await watch_run(http, thread, "linear", {"log": []})
    assert payloads(events, "lifecycle") == [
        {"event": "running", "graph_name": "linear"},
        {"event": "completed", "graph_name": "linear"},
    ]
    assert events[0]["method"] == events[-1]["method"] == "lifecycle"


async def test_seq_rises_and_event_ids_are_unique(http, thread):
    events = await watch_run(http, thread, "chat", human("hi there"))
    seqs = [e["seq"] for e in events]
    assert seqs == sorted(set(seqs)) and seqs[0] == 1
    assert len({e["event_id"] for e in events}) == len(events)


async def test_messages_are_content_blocks(http, thread):
    events = await watch_run(http, thread, "chat", human("hi there"))
    data = payloads(events, "messages")
    assert [d["event"] for d in data] == [
        "message-start", "content-block-start",
        "content-block-delta", "content-block-delta", "content-block-delta",
        "content-block-finish", "message-finish",
    ]  # fmt: skip
    assert data[0]["role"] == "ai" and data[0]["id"]
    deltas = [d["delta"] for d in data if d["event"] == "content-block-delta"]
    assert {d["type"] for d in deltas} == {"text-delta"}
    assert "".join(d["text"] for d in deltas) == "echo: hi there"
    assert data[-2]["content"] == {"type": "text", "text": "echo: hi there"}


async def test_message_ids_agree_with_the_state(http, thread):
    events = await watch_run(http, thread, "chat", human("hi"))
    last = payloads(events, "values")[-1]["messages"][-1]
    assert last["id"] == payloads(events, "messages")[0]["id"]
    assert last["type"] == "ai"


async def test_tool_calls_are_content_blocks(http, thread):
    events = await watch_run(http, thread, "tools", human("call add 2 3"), ["messages"])
    data = payloads(events, "messages", root=True)
    started = next(d for d in data if d["event"] == "content-block-start")
    finished = next(d for d in data if d["event"] == "content-block-finish")
    assert (started["content"]["type"], started["content"]["name"]) == ("tool_call_chunk", "add")
    assert finished["content"] == {
        "type": "tool_call", "id": "call-1", "name": "add", "args": {"a": 2, "b": 3},
    }  # fmt: skip


async def test_plain_graphs_send_values_messages_and_lifecycle(http, thread):
    """The reference sends updates, custom and tools only if the graph has transformers for them."""
    events = await watch_run(http, thread, "tools", human("call add 2 3"))
    assert {"lifecycle", "values", "messages"} <= set(methods(events))


async def test_a_tool_result_is_mirrored_as_a_message(http, thread):
    events = await watch_run(http, thread, "full", human("call add 2 3"), ["messages"])
    mirrored = [e for e in events if e["params"]["namespace"] == ["tools:call-1"]]
    assert mirrored[0]["params"]["data"]["role"] == "tool"
    assert mirrored[-1]["params"]["data"]["event"] == "message-finish"


async def test_a_tool_error(http, thread):
    events = await watch_run(http, thread, "full", human("call broken 2 3"), ["tools"])
    assert payloads(events, "tools")[-1] == {
        "event": "tool-error", "tool_call_id": "call-1", "message": "broken tool 2 3",
    }  # fmt: skip


async def test_custom_channel_and_named_custom_channel(http, thread):
    events = await watch_run(http, thread, "full", human("hi"), ["custom"])
    data = payloads(events, "custom")
    assert {"asked": 1} in data
    assert {"name": "steps", "payload": {"steps": 1}} in data


async def test_interrupt(http, thread):
    events = await watch_run(http, thread, "ask", {"topic": "x"}, ["input", "lifecycle"])
    (requested,) = payloads(events, "input.requested")
    assert requested["payload"] == {"question": "what about x?"}
    assert payloads(events, "lifecycle")[-1]["event"] == "interrupted"
    paused = await until_thread(http, thread, "interrupted")
    ((entry,),) = paused["interrupts"].values()
    assert requested["interrupt_id"] == entry["id"]


async def test_values_do_not_carry_the_interrupt(http, thread):
    events = await watch_run(http, thread, "ask", {"topic": "x"})
    assert all("__interrupt__" not in v for v in payloads(events, "values"))


async def test_failure(http, thread):
    events = await watch_run(http, thread, "linear", {"fail_at": "b"})
    assert payloads(events, "lifecycle")[-1] == {
        "event": "failed", "graph_name": "linear", "error": "boom at b",
    }  # fmt: skip
    assert "error" not in methods(events)


async def until_started(http, thread, run):
    async def running():
        record = (await http.get(f"/threads/{thread}/runs/{run}")).json()
        return record["status"] == "running"

    await until(running)


async def test_subgraph_lifecycle_and_namespace(http, thread):
    events = await watch_run(http, thread, "nested", {})
    inner = [e for e in events if e["params"]["namespace"]]
    (namespace,) = {tuple(e["params"]["namespace"]) for e in inner}
    assert namespace[0].startswith("child:")
    states = [e["params"]["data"] for e in inner if e["method"] == "lifecycle"]
    assert [s["event"] for s in states] == ["started", "completed"]
    assert states[0]["graph_name"] == "child"
    assert {"values", "messages"} <= set(methods(inner))


async def finished(http, thread, assistant="nested", input=None):
    await start(http, thread, assistant, input or {})
    return (await subscribe(http, thread, until=root_ends())).events


async def test_late_subscribers_get_the_whole_history(http, thread):
    first = await finished(http, thread)
    second = (await subscribe(http, thread, until=root_ends())).events
    assert [e.data["event_id"] for e in first] == [e.data["event_id"] for e in second]
    assert [e.data["seq"] for e in first] == [e.data["seq"] for e in second]


async def test_since_skips_what_was_seen(http, thread):
    whole = await finished(http, thread)
    cut = whole[3].data["seq"]
    rest = (await subscribe(http, thread, until=root_ends(), since=cut)).events
    assert [e.data["seq"] for e in rest] == [e.data["seq"] for e in whole if e.data["seq"] > cut]


async def test_namespace_filter_matches_a_prefix_without_its_id(http, thread):
    await finished(http, thread)
    stream = await subscribe(http, thread, ["values", "lifecycle"], namespaces=[["child"]], timeout=1)
    assert stream.events
    assert all(e.data["params"]["namespace"][0].startswith("child:") for e in stream.events)


async def test_depth_limits_how_far_below_the_prefix(http, thread):
    await finished(http, thread)
    stream = await subscribe(http, thread, ["values", "lifecycle"], namespaces=[[]], depth=0, timeout=1)
    assert stream.events
    assert all(e.data["params"]["namespace"] == [] for e in stream.events)


async def test_two_runs_share_one_rising_seq(http, thread):
    await start(http, thread, "linear", {"log": []})
    await until_thread(http, thread, "idle")
    await start(http, thread, "linear", {"log": []})
    stream = await subscribe(http, thread, until=root_ends(2))
    seqs = [e.data["seq"] for e in stream.events]
    assert seqs == sorted(set(seqs))
    lifecycle = [e.data["params"]["data"]["event"] for e in stream.events if e.event == "lifecycle"]
    assert lifecycle == ["running", "completed"] * 2


async def test_the_stream_stays_open_after_the_run(http, thread):
    await start(http, thread, "linear", {})
    stream = await subscribe(http, thread, timeout=7)
    assert "heartbeat" in stream.comments


async def test_an_unused_thread_is_silent(http):
    stream = await subscribe(http, new_id(), timeout=1)
    assert (stream.status, stream.events) == (200, [])


@pytest.mark.parametrize(
    "body", [{}, {"channels": []}, {"channels": "values"}, {"channels": ["bogus"]}, {"channels": ["debug"]}]
)
async def test_bad_channels_are_400(http, thread, body):
    response = await http.post(f"/threads/{thread}/stream/events", json=body)
    assert response.status_code == 400
    assert "channels" in response.json()["detail"]
