"""What each stream mode sends."""

from tests.contract.runs.calls import human, stream_run


async def test_values_sends_the_state_after_input_and_after_each_step(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": ["x"]}, stream_mode="values")
    assert stream.data("values") == [
        {"log": ["x"]},
        {"log": ["x", "a"]},
        {"log": ["x", "a", "b"]},
        {"log": ["x", "a", "b", "c"]},
    ]


async def test_values_is_the_default(http, thread):
    default = await stream_run(http, thread, "writer", {"count": 1})
    assert default.names() == ["metadata", "values", "values"]


async def test_an_empty_list_means_the_default(http, thread):
    stream = await stream_run(http, thread, "writer", {"count": 1}, stream_mode=[])
    assert stream.names() == ["metadata", "values", "values"]


async def test_updates_sends_one_node_output_at_a_time(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": ["x"]}, stream_mode="updates")
    assert stream.data("updates") == [{"a": {"log": ["a"]}}, {"b": {"log": ["b"]}}, {"c": {"log": ["c"]}}]


async def test_updates_of_a_node_that_returns_nothing_is_null(http, thread):
    stream = await stream_run(http, thread, "fanout", {"items": [2]}, stream_mode="updates")
    assert stream.data("updates")[0] == {"plan": None}


async def test_updates_of_a_fan_out_come_one_per_task(http, thread):
    stream = await stream_run(http, thread, "fanout", {"items": [1, 2, 3]}, stream_mode="updates")
    works = [u["work"] for u in stream.data("updates") if "work" in u]
    assert sorted(w["squares"][0] for w in works) == [1, 4, 9]
    assert stream.data("updates")[-1] == {"gather": {"total": 14}}


async def test_functional_api_updates_name_task_and_entrypoint(http, thread):
    stream = await stream_run(http, thread, "func", {"n": 4}, stream_mode=["updates", "values"])
    assert stream.data("updates") == [{"double": 8}, {"workflow": {"doubled": 8, "calls": 1}}]
    assert stream.data("values") == [{"doubled": 8, "calls": 1}]


async def test_custom_sends_what_the_node_writes(http, thread):
    stream = await stream_run(http, thread, "writer", {"count": 2}, stream_mode="custom")
    assert stream.data("custom") == [{"progress": 0}, {"progress": 1}, "plain text"]
    assert set(stream.names()) == {"metadata", "custom"}


async def test_messages_sends_growing_partials_after_one_metadata(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi there"), stream_mode="messages")
    names = stream.names()
    assert names[:2] == ["metadata", "messages/metadata"]
    assert set(names[2:]) == {"messages/partial"}
    partials = [data[0]["content"] for data in stream.data("messages/partial")]
    assert partials[:3] == ["echo: ", "echo: hi ", "echo: hi there"]
    assert partials[-1] == "echo: hi there"


async def test_messages_partials_share_one_id_named_by_the_metadata(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi there"), stream_mode="messages")
    (metadata,) = stream.data("messages/metadata")
    ((message_id, entry),) = metadata.items()
    assert {data[0]["id"] for data in stream.data("messages/partial")} == {message_id}
    assert all(data[0]["type"] == "ai" for data in stream.data("messages/partial"))
    assert entry["metadata"]["langgraph_node"] == "model"
    assert entry["metadata"]["run_id"] == stream.run_id


async def test_messages_not_from_a_model_come_as_complete(http, thread):
    stream = await stream_run(http, thread, "tools", human("call add 2 3"), stream_mode="messages")
    (complete,) = stream.data("messages/complete")
    assert complete[0]["type"] == "tool"
    assert complete[0]["content"] == "5"
    assert len(stream.data("messages/metadata")) == 3


async def test_messages_carry_tool_calls(http, thread):
    stream = await stream_run(http, thread, "tools", human("call add 2 3"), stream_mode="messages")
    call = stream.data("messages/partial")[0][0]["tool_calls"][0]
    assert call == {"name": "add", "args": {"a": 2, "b": 3}, "id": "call-1", "type": "tool_call"}


async def test_messages_tuple_sends_chunk_and_metadata(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi there"), stream_mode="messages-tuple")
    assert set(stream.names()) == {"metadata", "messages"}
    chunks, metadatas = zip(*stream.data("messages"), strict=True)
    assert {c["type"] for c in chunks} == {"AIMessageChunk"}
    assert "".join(c["content"] for c in chunks) == "echo: hi there"
    assert len({c["id"] for c in chunks}) == 1
    assert {m["langgraph_node"] for m in metadatas} == {"model"}


async def test_messages_tuple_last_chunk_is_marked(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi"), stream_mode="messages-tuple")
    positions = [chunk["chunk_position"] for chunk, _ in stream.data("messages")]
    assert positions[-1] == "last"
    assert set(positions[:-1]) == {None}


async def test_events_sends_the_runnable_event_log(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi there"), stream_mode="events")
    assert set(stream.names()) == {"metadata", "events"}
    kinds = [e["event"] for e in stream.data("events")]
    assert kinds[0] == "on_chain_start"
    assert kinds.count("on_chat_model_start") == kinds.count("on_chat_model_end") == 1
    tokens = [e["data"]["chunk"]["content"] for e in stream.data("events") if e["event"] == "on_chat_model_stream"]
    assert "".join(tokens) == "echo: hi there"


async def test_events_root_run_id_is_the_run(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi"), stream_mode="events")
    assert stream.data("events")[0]["run_id"] == stream.run_id
    assert stream.data("events")[0]["name"] == "chat"


async def test_events_can_be_joined_with_values(http, thread):
    stream = await stream_run(http, thread, "chat", human("hi"), stream_mode=["events", "values"])
    assert {"events", "values"} <= set(stream.names())
    assert stream.data("values")[-1]["messages"][-1]["content"] == "echo: hi"


async def test_tasks_sends_a_start_and_a_result_per_node(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": []}, stream_mode="tasks")
    tasks = stream.data("tasks")
    assert [t["name"] for t in tasks] == ["a", "a", "b", "b", "c", "c"]
    start, result = tasks[:2]
    assert start["id"] == result["id"]
    assert start["input"] == {"log": []} and start["triggers"] == ["branch:to:a"]
    assert result["result"] == {"log": ["a"]}
    assert result["error"] is None and result["interrupts"] == []


async def test_tasks_reports_interrupts(http, thread):
    stream = await stream_run(http, thread, "ask", {"topic": "x"}, stream_mode="tasks")
    last = stream.data("tasks")[-1]
    assert last["name"] == "ask"
    assert last["interrupts"][0]["value"] == {"question": "what about x?"}


async def test_checkpoints_sends_each_saved_state(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": []}, stream_mode="checkpoints")
    saved = stream.data("checkpoints")
    assert [c["metadata"]["step"] for c in saved] == [-1, 0, 1, 2, 3]
    assert [c["metadata"]["source"] for c in saved] == ["input"] + ["loop"] * 4
    assert saved[-1]["values"] == {"log": ["a", "b", "c"]}
    assert [c["next"] for c in saved[1:]] == [["a"], ["b"], ["c"], []]


async def test_debug_wraps_checkpoints_and_tasks(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": []}, stream_mode="debug")
    items = stream.data("debug")
    assert {i["type"] for i in items} == {"checkpoint", "task", "task_result"}
    first = items[0]
    assert (first["type"], first["step"]) == ("checkpoint", -1)
    assert {"checkpoint", "parent_checkpoint", "values", "next", "tasks"} <= first["payload"].keys()
    last = [i for i in items if i["type"] == "checkpoint"][-1]
    assert last["payload"]["checkpoint"]["thread_id"] == thread


async def test_several_modes_interleave_in_one_stream(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": []}, stream_mode=["values", "updates", "tasks"])
    assert set(stream.names()) == {"metadata", "values", "updates", "tasks"}
    names = stream.names()
    assert names.index("updates") > names.index("values")
    assert names[-1] == "values"
