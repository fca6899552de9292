"""GET list, GET one, DELETE."""

from tests.contract.runs.calls import create_run, get_thread, new_id, start_slow, until_status, wait_run


async def finished(http, thread, count):
    ids = []
    for _ in range(count):
        run = await create_run(http, thread, "linear", {"log": []})
        await until_status(http, thread, run["run_id"], "success")
        ids.append(run["run_id"])
    return ids


async def test_list_limit_and_offset(http, thread):
    ids = await finished(http, thread, 3)
    page = (await http.get(f"/threads/{thread}/runs", params={"limit": 1, "offset": 1})).json()
    assert [r["run_id"] for r in page] == [ids[1]]


async def test_list_default_limit_is_ten(http, thread):
    for _ in range(11):
        await create_run(http, thread, "linear", {}, after_seconds=60)
    assert len((await http.get(f"/threads/{thread}/runs")).json()) == 10


async def test_list_by_status(http, thread):
    (good,) = await finished(http, thread, 1)
    await wait_run(http, thread, "linear", {"fail_at": "a"})
    failed = (await http.get(f"/threads/{thread}/runs", params={"status": "error"})).json()
    passed = (await http.get(f"/threads/{thread}/runs", params={"status": "success"})).json()
    assert [r["status"] for r in failed] == ["error"]
    assert [r["run_id"] for r in passed] == [good]


async def test_list_select_fields(http, thread):
    (run,) = await finished(http, thread, 1)
    params = [("select", "run_id"), ("select", "status")]
    listed = (await http.get(f"/threads/{thread}/runs", params=params)).json()
    assert listed == [{"run_id": run, "status": "success"}]


async def test_list_select_unknown_field(http, thread):
    response = await http.get(f"/threads/{thread}/runs", params={"select": "nope"})
    assert response.status_code == 422


async def test_list_of_an_unknown_thread(http):
    assert (await http.get(f"/threads/{new_id()}/runs")).status_code == 404


async def test_run_is_not_found_under_another_thread(http, thread):
    other = (await http.post("/threads", json={})).json()["thread_id"]
    run = await create_run(http, thread, "linear", {})
    assert (await http.get(f"/threads/{other}/runs/{run['run_id']}")).status_code == 404


async def test_delete_removes_the_run(http, thread):
    (run,) = await finished(http, thread, 1)
    response = await http.delete(f"/threads/{thread}/runs/{run}")
    assert (response.status_code, response.content) == (204, b"")
    assert (await http.get(f"/threads/{thread}/runs/{run}")).status_code == 404
    assert (await http.get(f"/threads/{thread}/runs")).json() == []


async def test_thread_delete_takes_active_runs_with_it(http, thread):
    run = await start_slow(http, thread)
    assert (await http.delete(f"/threads/{thread}")).status_code == 204
    assert (await http.get(f"/threads/{thread}/runs/{run}")).status_code == 404


async def test_state_cannot_be_updated_while_a_run_is_active(http, thread):
    await start_slow(http, thread)
    response = await http.post(f"/threads/{thread}/state", json={"values": {"n": 0}})
    assert response.status_code == 409
    assert (await get_thread(http, thread))["status"] == "busy"
