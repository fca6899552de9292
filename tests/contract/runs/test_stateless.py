"""Runs without a thread: POST /runs, /runs/wait, /runs/stream."""

import pytest

from tests.contract.runs.calls import create_run, human, stream_run, until, wait_run
from tests.contract.runs.sse import read_stream


async def gone(http, thread_id: str) -> bool:
    return (await http.get(f"/threads/{thread_id}")).status_code == 404


async def test_wait_location_names_the_temporary_thread(http):
    response = await wait_run(http, None, "linear", {})
    assert response.headers["content-location"].startswith("/threads/")
    assert response.headers["location"].endswith("/join")


async def test_wait_error_and_interrupt_look_as_on_a_thread(http):
    failed = (await wait_run(http, None, "linear", {"fail_at": "a"})).json()
    assert failed == {"__error__": {"error": "ValueError", "message": "boom at a"}}
    paused = (await wait_run(http, None, "ask", {"topic": "x"})).json()
    assert paused["__interrupt__"][0]["value"] == {"question": "what about x?"}


async def test_stream_has_the_same_events(http):
    stream = await stream_run(http, None, "linear", {"log": []}, stream_mode=["updates"])
    assert stream.names() == ["metadata", "updates", "updates", "updates"]


async def test_background_run_record(http):
    response = await http.post("/runs", json={"assistant_id": "linear", "input": {"log": []}})
    run = response.json()
    assert response.headers["content-location"] == f"/runs/{run['run_id']}"
    assert run["kwargs"]["temporary"] is True
    assert run["thread_id"]


async def test_thread_is_deleted_when_the_run_ends(http):
    run = await create_run(http, None, "linear", {"log": []})
    await until(lambda: gone(http, run["thread_id"]))


async def test_failed_run_deletes_its_thread_too(http):
    run = await create_run(http, None, "linear", {"fail_at": "a"})
    await until(lambda: gone(http, run["thread_id"]))


@pytest.mark.parametrize("path", ["/runs", "/runs/wait", "/runs/stream"])
async def test_resume_needs_a_thread(http, path):
    response = await http.post(path, json={"assistant_id": "ask", "command": {"resume": "x"}})
    assert response.status_code == 400
    assert "thread_id" in response.json()["detail"]


async def test_thread_only_fields_are_harmless(http):
    fields = {"multitask_strategy": "reject", "if_not_exists": "reject"}
    assert (await wait_run(http, None, "linear", {"log": []}, **fields)).status_code == 200


async def test_stateless_stream_can_be_resumable(http):
    stream = await stream_run(http, None, "chat", human("x"), stream_resumable=True)
    assert all(stream.ids())


async def test_store_is_shared_between_stateless_runs(http):
    owner = (await create_run(http, None, "linear", {}))["run_id"]
    await wait_run(http, None, "notes", {"owner": owner, "key": "a", "text": "1"})
    second = await wait_run(http, None, "notes", {"owner": owner, "key": "b", "text": "2"})
    assert second.json()["notes"] == {"a": "1", "b": "2"}


async def test_unknown_assistant(http):
    body = {"assistant_id": "nope"}
    assert (await read_stream(http, "POST", "/runs/stream", body=body)).status == 422
    assert (await http.post("/runs/wait", json=body)).status_code == 422
    assert (await http.post("/runs", json=body)).status_code == 422
