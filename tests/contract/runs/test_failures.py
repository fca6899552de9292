"""Runs that fail inside the graph."""

from tests.contract.runs.calls import (
    get_state,
    get_thread,
    human,
    run_id_of,
    run_status,
    slow,
    stream_run,
    thread_runs,
    wait_run,
)


async def test_run_and_thread_take_status_error(http, thread):
    response = await wait_run(http, thread, "linear", {"fail_at": "b"})
    assert await run_status(http, thread, run_id_of(response)) == "error"
    failed = await get_thread(http, thread)
    assert failed["status"] == "error"
    assert failed["error"] == {"error": "ValueError", "message": "boom at b"}


async def test_steps_before_the_failure_are_kept(http, thread):
    await wait_run(http, thread, "linear", {"fail_at": "c"})
    state = await get_state(http, thread)
    assert state["values"]["log"] == ["a", "b"]
    assert state["next"] == ["c"]
    assert "boom at c" in state["tasks"][0]["error"]


async def test_null_input_retries_the_failed_step(http, thread):
    await wait_run(http, thread, "linear", {"fail_at": "b"})
    again = (await wait_run(http, thread, "linear", None)).json()
    assert again["__error__"]["message"] == "boom at b"
    await http.post(f"/threads/{thread}/state", json={"values": {"fail_at": ""}})
    fixed = (await wait_run(http, thread, "linear", None)).json()
    assert fixed["log"] == ["a", "b", "c"]
    done = await get_thread(http, thread)
    assert (done["status"], done["error"]) == ("idle", None)


async def test_recursion_limit(http, thread):
    body = (await wait_run(http, thread, "slow", slow(50, 0), config={"recursion_limit": 5})).json()
    assert body["__error__"]["error"] == "GraphRecursionError"
    assert "5" in body["__error__"]["message"]
    failed = await get_thread(http, thread)
    assert (failed["status"], failed["values"]["n"]) == ("error", 4)


async def test_default_recursion_limit_allows_long_loops(http, thread):
    body = (await wait_run(http, thread, "slow", slow(60, 0))).json()
    assert body["n"] == 60


async def test_input_of_the_wrong_type_is_a_run_error_not_a_400(http, thread):
    response = await wait_run(http, thread, "linear", "just text")
    assert response.status_code == 200
    assert response.json()["__error__"]["error"] == "InvalidUpdateError"


async def test_no_input_on_a_fresh_thread(http, thread):
    body = (await wait_run(http, thread, "linear", None)).json()
    assert body["__error__"]["error"] == "EmptyInputError"


async def test_a_failing_tool_fails_the_run(http, thread):
    stream = await stream_run(http, thread, "tools", human("call broken 1 2"))
    assert stream.events[-1].event == "error"
    assert stream.events[-1].data["message"] == "broken tool 1 2"


async def test_failed_runs_are_listed(http, thread):
    await wait_run(http, thread, "linear", {"fail_at": "a"})
    assert [r["status"] for r in await thread_runs(http, thread)] == ["error"]
