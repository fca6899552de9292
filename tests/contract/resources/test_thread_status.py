"""idle, busy, interrupted, error: what moves a thread between them."""

from tests.contract.resources.checks import assert_error, eventually


async def test_an_interrupt_shows_on_the_thread(api, run):
    thread = (await api.get(f"/threads/{await run('approval', {'draft': 'D'})}")).json()
    assert thread["status"] == "interrupted"
    ((interrupt,),) = thread["interrupts"].values()
    assert interrupt["value"]["question"] == "approve?"
    assert interrupt["id"]


async def test_resuming_clears_the_interrupt(api, run):
    thread_id = await run("approval", {"draft": "D"})
    response = await api.post(
        f"/threads/{thread_id}/runs/wait", json={"assistant_id": "approval", "command": {"resume": "yes"}}
    )
    assert response.json() == {"draft": "D", "answer": "yes", "done": True}
    thread = (await api.get(f"/threads/{thread_id}")).json()
    assert thread["status"] == "idle"
    assert thread["interrupts"] == {}


async def test_answering_by_a_state_update_clears_the_interrupt(api, run):
    path = f"/threads/{await run('approval', {'draft': 'D'})}"
    await api.post(f"{path}/state", json={"values": {"answer": "forced"}, "as_node": "ask"})
    thread = (await api.get(path)).json()
    assert thread["interrupts"] == {}
    assert thread["status"] == "interrupted"  # "finish" is still to run
    assert (await api.get(f"{path}/state")).json()["next"] == ["finish"]


async def test_a_failed_run_leaves_the_thread_in_error(api, run):
    path = f"/threads/{await run('fragile', {'fail': True})}"
    thread = (await api.get(path)).json()
    assert thread["status"] == "error"
    assert thread["error"]["error"] == "RuntimeError"
    assert thread["error"]["message"] == "asked to fail"
    state = (await api.get(f"{path}/state")).json()
    assert state["next"] == ["work"]
    assert "asked to fail" in state["tasks"][0]["error"]

    thread_id = await run("fragile", {"fail": True})
    await run("fragile", {"fail": False}, thread_id=thread_id)
    thread = (await api.get(f"/threads/{thread_id}")).json()
    assert thread["status"] == "idle"
    assert thread["error"] is None


async def test_busy_while_a_run_is_in_flight(api, make_thread):
    path = f"/threads/{(await make_thread())['thread_id']}"
    await api.post(f"{path}/runs", json={"assistant_id": "fragile", "input": {"sleep": 1.5}})
    assert (await api.get(path)).json()["status"] == "busy"

    async def idle():
        return (await api.get(path)).json()["status"] == "idle"

    await eventually(idle)
    assert (await api.get(path)).json()["values"]["ok"] is True

    path = f"/threads/{(await make_thread())['thread_id']}"
    await api.post(f"{path}/runs", json={"assistant_id": "fragile", "input": {"sleep": 1}})
    response = await api.post(f"{path}/state", json={"values": {"ok": True}, "as_node": "work"})
    assert_error(response, 409)


async def test_search_finds_threads_by_live_status(api, make_thread, run, tag):
    busy = (await make_thread(metadata={"tag": tag}))["thread_id"]
    await api.post(f"/threads/{busy}/runs", json={"assistant_id": "fragile", "input": {"sleep": 3}})
    response = await api.post("/threads/search", json={"metadata": {"tag": tag}, "status": "busy"})
    assert [row["thread_id"] for row in response.json()] == [busy]
    await api.delete(f"/threads/{busy}")
    failed = await run("fragile", {"fail": True}, metadata={"tag": tag})
    response = await api.post("/threads/search", json={"metadata": {"tag": tag}, "status": "error"})
    assert [row["thread_id"] for row in response.json()] == [failed]


async def test_a_busy_thread_can_be_deleted(api, make_thread):
    path = f"/threads/{(await make_thread())['thread_id']}"
    await api.post(f"{path}/runs", json={"assistant_id": "fragile", "input": {"sleep": 1}})
    assert (await api.delete(path)).status_code == 204
    assert_error(await api.get(path), 404)
