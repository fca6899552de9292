"""POST /runs/cancel: by ids, or by status over the whole server."""

import pytest

from tests.contract.runs.calls import create_run, new_id, start_slow, until_status, until_thread


async def test_cancel_by_ids(http, thread):
    running = await start_slow(http, thread)
    queued = (await create_run(http, thread, "linear", {}))["run_id"]
    later = (await create_run(http, thread, "linear", {}, after_seconds=60))["run_id"]
    runs = [running, queued, later]
    response = await http.post("/runs/cancel", json={"thread_id": thread, "run_ids": runs})
    assert (response.status_code, response.content) == (204, b"")
    for run in runs:
        await until_status(http, thread, run, "interrupted")
    await until_thread(http, thread, "interrupted", "idle")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "success"},
        {"run_ids": [new_id()]},
        {"thread_id": new_id()},
        {"status": "all", "thread_id": new_id(), "run_ids": [new_id()]},
    ],
)
async def test_malformed_requests(http, body):
    assert (await http.post("/runs/cancel", json=body)).status_code == 422
