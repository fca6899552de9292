"""What happens to a run when the client that watches it goes away."""

import asyncio

import pytest

from tests.contract.runs.calls import (
    abandoned,
    get_thread,
    run_id_of,
    slow,
    start_slow,
    thread_runs,
    until_status,
    until_step,
)


async def drop(http, path, thread, **fields):
    """Start a run over `path`, disconnect after its first step, and return its id."""
    body = {"assistant_id": "slow", "input": slow(steps=8), **fields}
    async with abandoned(http, "POST", path, body) as response:
        run = run_id_of(response)
        await until_step(http, thread, run)
    return run


async def test_on_disconnect_cancel_keeps_the_steps_done(http, thread):
    await drop(http, f"/threads/{thread}/runs/stream", thread, on_disconnect="cancel")
    (run,) = await thread_runs(http, thread)
    await until_status(http, thread, run["run_id"], "interrupted")
    await asyncio.sleep(0.5)
    done = await get_thread(http, thread)
    assert done["status"] == "interrupted"
    assert done["error"]["error"] == "UserInterrupt"
    assert 1 <= done["values"]["n"] < 8


@pytest.mark.parametrize("kind", ["stream", "join"])
async def test_leaving_a_joined_run_does_not_stop_it(http, thread, kind):
    run = await start_slow(http, thread, input=slow(steps=5))
    async with abandoned(http, "GET", f"/threads/{thread}/runs/{run}/{kind}"):
        await asyncio.sleep(0.3)
    assert await until_status(http, thread, run, "success", "interrupted") == "success"


@pytest.mark.parametrize("kind", ["stream", "join"])
async def test_cancel_on_disconnect_of_a_joined_run(http, thread, kind):
    run = await start_slow(http, thread)
    async with abandoned(http, "GET", f"/threads/{thread}/runs/{run}/{kind}?cancel_on_disconnect=true"):
        await asyncio.sleep(0.3)
    assert await until_status(http, thread, run, "success", "interrupted") == "interrupted"
