"""POST /runs/batch: several stateless background runs at once."""

from tests.contract.runs.calls import until, until_status


async def test_batch_returns_runs_in_order(http):
    payload = [{"assistant_id": g, "input": {}} for g in ("linear", "writer", "slow")]
    response = await http.post("/runs/batch", json=payload)
    assert response.status_code == 200
    runs = response.json()
    assert [r["kwargs"]["config"]["configurable"]["graph_id"] for r in runs] == [
        "linear", "writer", "slow",
    ]  # fmt: skip
    assert {r["status"] for r in runs} == {"pending"}


async def test_batch_gives_each_run_its_own_thread(http):
    payload = [{"assistant_id": "linear", "input": {}}] * 3
    runs = (await http.post("/runs/batch", json=payload)).json()
    assert len({r["thread_id"] for r in runs}) == len({r["run_id"] for r in runs}) == 3


async def test_batch_runs_execute(http):
    payload = [{"assistant_id": "linear", "input": {}, "on_completion": "keep"}] * 2
    for run in (await http.post("/runs/batch", json=payload)).json():
        await until_status(http, run["thread_id"], run["run_id"], "success")


async def test_batch_threads_are_temporary_by_default(http):
    (run,) = (await http.post("/runs/batch", json=[{"assistant_id": "linear", "input": {}}])).json()

    async def gone() -> bool:
        return (await http.get(f"/threads/{run['thread_id']}")).status_code == 404

    await until(gone)


async def test_batch_must_be_a_non_empty_list(http):
    assert (await http.post("/runs/batch", json=[])).status_code == 422
    assert (await http.post("/runs/batch", json={"assistant_id": "linear"})).status_code == 422


async def test_one_bad_entry_fails_the_whole_call(http):
    payload = [{"assistant_id": "linear", "input": {}}, {"assistant_id": "nope"}]
    assert (await http.post("/runs/batch", json=payload)).status_code == 422
