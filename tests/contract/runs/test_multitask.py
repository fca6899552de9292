"""multitask_strategy: a new run on a thread that has an active one."""

import pytest

from tests.contract.runs.calls import (
    create_run,
    get_state,
    run_status,
    slow,
    start_slow,
    thread_runs,
    until_status,
    until_thread,
    wait_run,
)


async def test_only_one_run_of_a_thread_runs_at_a_time(http, thread):
    runs = [await create_run(http, thread, "slow", slow(2, 0.2)) for _ in range(3)]
    while await run_status(http, thread, runs[-1]["run_id"]) != "success":
        statuses = [r["status"] for r in await thread_runs(http, thread)]
        assert statuses.count("running") <= 1


async def test_thread_stays_busy_between_queued_runs(http, thread):
    first = await create_run(http, thread, "linear", {"log": []})
    await create_run(http, thread, "slow", slow(steps=3))
    await until_status(http, thread, first["run_id"], "success")
    assert (await http.get(f"/threads/{thread}")).json()["status"] == "busy"


async def test_a_queued_run_goes_on_after_a_failed_one(http, thread):
    failing = await create_run(http, thread, "linear", {"fail_at": "a"})
    queued = await create_run(http, thread, "linear", {"fail_at": "", "log": []})
    await until_status(http, thread, failing["run_id"], "error")
    await until_status(http, thread, queued["run_id"], "success")
    assert (await until_thread(http, thread, "idle"))["error"] is None


async def test_reject_leaves_the_active_run_alone(http, thread):
    first = await start_slow(http, thread, input=slow(steps=4))
    body = {"assistant_id": "linear", "input": {}, "multitask_strategy": "reject"}
    await http.post(f"/threads/{thread}/runs", json=body)
    assert [r["run_id"] for r in await thread_runs(http, thread)] == [first]
    assert await until_status(http, thread, first, "success") == "success"


async def test_reject_counts_pending_runs_too(http, thread):
    await create_run(http, thread, "linear", {}, after_seconds=60)
    body = {"assistant_id": "linear", "input": {}, "multitask_strategy": "reject"}
    assert (await http.post(f"/threads/{thread}/runs", json=body)).status_code == 409


@pytest.mark.parametrize("graph", ["linear", "ask"])
async def test_reject_is_fine_on_an_idle_or_interrupted_thread(http, thread, graph):
    await wait_run(http, thread, graph, {})
    again = await wait_run(http, thread, graph, {}, multitask_strategy="reject")
    assert again.status_code == 200


async def test_interrupt_stops_the_active_run_and_keeps_its_steps(http, thread):
    first = await start_slow(http, thread, tag="A")
    second = await create_run(http, thread, "slow", slow(1, 0.1, "B"), multitask_strategy="interrupt")
    await until_status(http, thread, second["run_id"], "success")
    assert await run_status(http, thread, first) == "interrupted"
    log = (await get_state(http, thread))["values"]["log"]
    assert log[:2] == ["Abegin", "A1"]
    assert log[-2:] == ["Bbegin", "B1"]
    assert "A20" not in log


async def test_rollback_also_deletes_queued_runs(http, thread):
    await start_slow(http, thread, tag="A")
    queued = await create_run(http, thread, "slow", slow(1, 0.1, "B"))
    last = await create_run(http, thread, "slow", slow(1, 0.1, "C"), multitask_strategy="rollback")
    await until_status(http, thread, last["run_id"], "success")
    assert await run_status(http, thread, queued["run_id"]) is None
    assert [r["run_id"] for r in await thread_runs(http, thread)] == [last["run_id"]]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback", "enqueue"])
async def test_strategies_do_nothing_special_on_an_idle_thread(http, thread, strategy):
    await wait_run(http, thread, "linear", {"log": []})
    body = (await wait_run(http, thread, "linear", {"log": []}, multitask_strategy=strategy)).json()
    assert body["log"] == ["a", "b", "c"] * 2
