"""GET .../join and GET .../stream of an existing run; Last-Event-ID."""

from tests.contract.runs.calls import create_run, new_id, slow, start_slow, until_status, wait_run
from tests.contract.runs.sse import read_stream


async def resumable(http, thread, **fields):
    run = await create_run(
        http, thread, "linear", {"log": []},
        stream_mode=["values", "updates"], stream_resumable=True, **fields,
    )  # fmt: skip
    await until_status(http, thread, run["run_id"], "success")
    return f"/threads/{thread}/runs/{run['run_id']}/stream"


async def test_join_waits_for_an_active_run(http, thread):
    run = await create_run(http, thread, "slow", slow(steps=2))
    response = await http.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    assert response.json()["log"] == ["begin", "1", "2"]


async def test_join_of_a_finished_run_returns_the_thread_values(http, thread):
    run = await create_run(http, thread, "linear", {"log": []})
    await until_status(http, thread, run["run_id"], "success")
    response = await http.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    assert response.json() == {"log": ["a", "b", "c"]}
    assert response.headers["content-location"] == f"/threads/{thread}/runs/{run['run_id']}"


async def test_join_of_an_older_run_returns_the_current_thread_values(http, thread):
    """Not what that run produced: join falls back to the thread."""
    run = await create_run(http, thread, "linear", {"log": []})
    await until_status(http, thread, run["run_id"], "success")
    await wait_run(http, thread, "linear", {"log": ["later"]})
    response = await http.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    assert response.json()["log"] == ["a", "b", "c", "later", "a", "b", "c"]


async def test_join_of_a_failed_run_returns_the_error(http, thread):
    run = await create_run(http, thread, "linear", {"fail_at": "b"})
    await until_status(http, thread, run["run_id"], "error")
    response = await http.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    assert response.status_code == 200
    assert response.json() == {"__error__": {"error": "ValueError", "message": "boom at b"}}


async def test_join_of_an_interrupted_run_returns_the_interrupts(http, thread):
    run = await create_run(http, thread, "ask", {"topic": "x"})
    await until_status(http, thread, run["run_id"], "success")
    body = (await http.get(f"/threads/{thread}/runs/{run['run_id']}/join")).json()
    assert body["__interrupt__"][0]["value"] == {"question": "what about x?"}


async def test_join_of_an_unknown_run_says_404(http, thread):
    """The reference says so in the body of a 200; a plain 404 serves as well."""
    response = await http.get(f"/threads/{thread}/runs/{new_id()}/join")
    assert response.status_code == 404 or "404" in response.json()["__error__"]["message"]


async def test_join_stream_of_an_unknown_run_says_404(http, thread):
    """The reference says so in an error event; a plain 404 serves as well."""
    stream = await read_stream(http, "GET", f"/threads/{thread}/runs/{new_id()}/stream")
    assert stream.status == 404 or "404" in stream.data("error")[0]["message"]


async def test_join_stream_midway_gets_only_what_comes_next(http, thread):
    run = await start_slow(http, thread, input=slow(steps=5))
    stream = await read_stream(http, "GET", f"/threads/{thread}/runs/{run}/stream")
    assert "metadata" not in stream.names()
    assert stream.data("values")[-1]["n"] == 5
    assert stream.data("values")[0]["n"] >= 1


async def test_join_stream_cannot_add_a_mode(http, thread):
    run = await start_slow(http, thread, input=slow(steps=3), stream_mode=["updates"])
    path = f"/threads/{thread}/runs/{run}/stream?stream_mode=values"
    assert (await read_stream(http, "GET", path)).events == []


async def test_replay_after_a_given_event(http, thread):
    path = await resumable(http, thread)
    whole = await read_stream(http, "GET", path, headers={"Last-Event-ID": "0"})
    cut = whole.events[-3].id
    rest = await read_stream(http, "GET", path, headers={"Last-Event-ID": cut})
    expected = [e for e in whole.events if e.id > cut]
    assert rest.events == expected


async def test_replay_then_live(http, thread):
    run = await start_slow(http, thread, input=slow(steps=5), stream_mode=["updates"], stream_resumable=True)
    path = f"/threads/{thread}/runs/{run}/stream"
    stream = await read_stream(http, "GET", path, headers={"Last-Event-ID": "0"})
    assert stream.names() == ["metadata"] + ["updates"] * 6
    steps = [u["step"]["n"] for u in stream.data("updates")[1:]]
    assert steps == [1, 2, 3, 4, 5]


async def test_nothing_to_replay_when_not_resumable(http, thread):
    run = await create_run(http, thread, "linear", {"log": []})
    await until_status(http, thread, run["run_id"], "success")
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"
    assert (await read_stream(http, "GET", path, headers={"Last-Event-ID": "0"})).events == []
