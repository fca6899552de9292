"""POST .../cancel: pending, running and finished runs; interrupt and rollback; wait or not."""

import asyncio

import pytest

from tests.contract.runs.calls import (
    create_run,
    get_history,
    get_state,
    get_thread,
    new_id,
    run_status,
    start_slow,
    stream_run,
    thread_runs,
    until_status,
    until_thread,
    wait_run,
)


def cancel_path(thread, run, **query):
    tail = "&".join(f"{k}={v}" for k, v in query.items())
    return f"/threads/{thread}/runs/{run}/cancel" + (f"?{tail}" if tail else "")


async def test_cancel_answers_202_with_no_body(http, thread):
    run = await start_slow(http, thread)
    response = await http.post(cancel_path(thread, run))
    assert (response.status_code, response.content) == (202, b"")


async def test_cancel_running_leaves_the_thread_resumable(http, thread):
    run = await start_slow(http, thread)
    await http.post(cancel_path(thread, run))
    done = await until_thread(http, thread, "interrupted")
    assert done["values"]["n"] >= 1
    assert (await get_state(http, thread))["next"] == ["step"]


async def test_cancel_records_the_reason_on_the_thread(http, thread):
    run = await start_slow(http, thread)
    await http.post(cancel_path(thread, run))
    done = await until_thread(http, thread, "interrupted")
    assert done["error"]["error"] == "UserInterrupt"


@pytest.mark.parametrize("wait", ["true", "1"])
async def test_cancel_and_wait_answers_200_once_the_run_has_stopped(http, thread, wait):
    run = await start_slow(http, thread)
    response = await http.post(cancel_path(thread, run, wait=wait))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-location"] == f"/threads/{thread}/runs/{run}"
    assert await run_status(http, thread, run) == "interrupted"


async def test_rollback_discards_the_checkpoints_of_the_run(http, thread):
    async def saved():
        return [s["checkpoint"]["checkpoint_id"] for s in await get_history(http, thread)]

    await wait_run(http, thread, "slow", {"steps": 1, "delay": 0, "tag": "P"})
    before = await saved()
    run = await start_slow(http, thread)
    assert await saved() != before
    await http.post(cancel_path(thread, run, action="rollback", wait="1"))
    await until_status(http, thread, run, None)
    assert await saved() == before


async def test_rollback_restores_the_thread_and_frees_it(http, thread):
    await wait_run(http, thread, "slow", {"steps": 1, "delay": 0, "tag": "P"})
    run = await start_slow(http, thread)
    await http.post(cancel_path(thread, run, action="rollback", wait="1"))
    done = await until_thread(http, thread, "idle")
    assert done["values"]["log"] == ["Pbegin", "P1"]
    assert (await get_state(http, thread))["values"]["log"] == ["Pbegin", "P1"]


async def test_cancel_pending_interrupts_it_before_it_starts(http, thread):
    run = (await create_run(http, thread, "linear", {}, after_seconds=60))["run_id"]
    assert (await http.post(cancel_path(thread, run))).status_code == 202
    assert await run_status(http, thread, run) == "interrupted"
    done = await get_thread(http, thread)
    assert (done["status"], done["values"]) == ("idle", None)


async def test_cancel_pending_and_wait(http, thread):
    run = (await create_run(http, thread, "linear", {}, after_seconds=60))["run_id"]
    response = await http.post(cancel_path(thread, run, wait="1"))
    assert response.status_code == 200
    assert await run_status(http, thread, run) == "interrupted"


async def test_rollback_pending_deletes_it(http, thread):
    run = (await create_run(http, thread, "linear", {}, after_seconds=60))["run_id"]
    assert (await http.post(cancel_path(thread, run, action="rollback"))).status_code == 202
    assert await run_status(http, thread, run) is None


async def test_cancelling_one_queued_run_leaves_the_running_one(http, thread):
    running = await start_slow(http, thread, input={"steps": 5, "delay": 0.3})
    queued = (await create_run(http, thread, "linear", {}))["run_id"]
    await http.post(cancel_path(thread, queued))
    assert await run_status(http, thread, queued) == "interrupted"
    await until_status(http, thread, running, "success")
    assert len(await thread_runs(http, thread)) == 2


@pytest.mark.parametrize("query", [{}, {"wait": "1"}, {"action": "rollback"}])
async def test_cancel_finished_is_404(http, thread, query):
    run = (await create_run(http, thread, "linear", {"log": []}))["run_id"]
    await until_status(http, thread, run, "success")
    response = await http.post(cancel_path(thread, run, **query))
    assert response.status_code == 404
    assert await run_status(http, thread, run) == "success"


async def test_cancel_unknown_run_or_thread_is_404(http, thread):
    assert (await http.post(cancel_path(thread, new_id()))).status_code == 404
    assert (await http.post(cancel_path(new_id(), new_id()))).status_code == 404


async def test_unknown_action_means_interrupt(http, thread):
    run = await start_slow(http, thread)
    assert (await http.post(cancel_path(thread, run, action="explode"))).status_code == 202
    assert await until_status(http, thread, run, "interrupted") == "interrupted"


async def test_the_stream_of_a_cancelled_run_ends_without_an_error_event(http, thread):
    streaming = asyncio.create_task(stream_run(http, thread, "slow", {"steps": 20, "delay": 0.3}))
    while not await thread_runs(http, thread):
        await asyncio.sleep(0.05)
    (run,) = await thread_runs(http, thread)
    await until_status(http, thread, run["run_id"], "running")
    await http.post(cancel_path(thread, run["run_id"]))
    stream = await streaming
    assert "error" not in stream.names()
    assert await run_status(http, thread, run["run_id"]) == "interrupted"
