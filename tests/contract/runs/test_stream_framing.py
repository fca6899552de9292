"""The bytes and headers of a run stream."""

import re

from tests.contract.runs.calls import human, new_id, slow, stream_run
from tests.contract.runs.sse import read_stream


async def test_headers_of_a_stateless_stream(http):
    stream = await stream_run(http, None, "linear", {})
    assert stream.headers["location"] == f"/runs/{stream.run_id}/stream"
    assert stream.headers["content-location"] == f"/runs/{stream.run_id}"


async def test_the_stream_just_ends_there_is_no_end_event(http, thread):
    stream = await stream_run(http, thread, "linear", {"log": []})
    assert stream.names() == ["metadata", "values", "values", "values", "values"]


async def test_no_event_ids_unless_resumable(http, thread):
    stream = await stream_run(http, thread, "linear", {})
    assert set(stream.ids()) == {None}


async def test_resumable_events_carry_rising_ids(http, thread):
    stream = await stream_run(http, thread, "linear", {}, stream_resumable=True)
    ids = stream.ids()
    assert all(ids) and all(re.fullmatch(r"\d+-\d+", i) for i in ids)
    numbers = [tuple(map(int, i.split("-"))) for i in ids]
    assert numbers == sorted(numbers)


async def test_heartbeat_comments_while_nothing_happens(http, thread):
    stream = await stream_run(http, thread, "slow", slow(steps=1, delay=6))
    assert "heartbeat" in stream.comments


async def test_a_failure_is_an_error_event_and_then_the_end(http, thread):
    stream = await stream_run(http, thread, "linear", {"fail_at": "b"}, stream_mode="updates")
    assert stream.status == 200
    assert stream.names() == ["metadata", "updates", "error"]
    assert stream.events[-1].data == {"error": "ValueError", "message": "boom at b"}


async def test_error_in_a_subgraph_comes_without_a_namespace(http, thread):
    stream = await stream_run(http, thread, "nested", {"fail": True}, stream_mode="updates", stream_subgraphs=True)
    assert stream.events[-1].event == "error"
    assert stream.events[-1].data["message"] == "boom in child"


async def test_unknown_thread_is_a_plain_404_not_a_stream(http):
    path = f"/threads/{new_id()}/runs/stream"
    stream = await read_stream(http, "POST", path, body={"assistant_id": "linear"})
    assert stream.status == 404
    assert stream.headers["content-type"] == "application/json"


async def test_json_in_data_is_on_one_line(http, thread):
    stream = await stream_run(http, thread, "chat", human("two\nlines"))
    assert stream.data("values")[-1]["messages"][-1]["content"] == "echo: two\nlines"
