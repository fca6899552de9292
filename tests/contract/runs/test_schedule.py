"""after_seconds."""

from tests.contract.runs.calls import create_run, get_thread, run_status, until_status


async def test_created_at_is_the_time_it_is_due(http, thread):
    run = await create_run(http, thread, "linear", {}, after_seconds=3600)
    assert run["created_at"] > run["updated_at"]


async def test_a_delayed_run_makes_the_thread_busy_already(http, thread):
    await create_run(http, thread, "linear", {}, after_seconds=60)
    assert (await get_thread(http, thread))["status"] == "busy"


async def test_a_run_made_later_may_go_first(http, thread):
    delayed = await create_run(http, thread, "linear", {"log": ["late"]}, after_seconds=2)
    prompt = await create_run(http, thread, "linear", {"log": ["soon"]})
    await until_status(http, thread, prompt["run_id"], "success")
    assert await run_status(http, thread, delayed["run_id"]) == "pending"
    await until_status(http, thread, delayed["run_id"], "success")
