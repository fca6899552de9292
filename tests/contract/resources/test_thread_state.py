"""Read and write the state of a thread."""

import pytest

from tests.contract.resources.checks import assert_error, unique


@pytest.fixture
async def counted(api, run):
    """A finished counter thread; returns its path."""
    return f"/threads/{await run('counter', {'total': 100, 'label': 'L'})}"


async def test_state_of_a_new_thread_is_empty(api, make_thread):
    body = (await api.get(f"/threads/{(await make_thread())['thread_id']}/state")).json()
    assert body["values"] == {}
    assert body["next"] == [] and body["tasks"] == [] and body["interrupts"] == []
    assert body["checkpoint"] is None and body["parent_checkpoint"] is None
    assert body["metadata"] is None and body["created_at"] is None


async def test_state_after_a_run(api, counted):
    body = (await api.get(f"{counted}/state")).json()
    assert body["values"] == {"total": 111, "steps": ["first", "second"], "label": "L"}
    assert body["next"] == [] and body["tasks"] == [] and body["interrupts"] == []
    assert body["checkpoint"]["thread_id"] == counted.rsplit("/", 1)[1]
    assert body["checkpoint"]["checkpoint_ns"] == ""
    assert body["checkpoint"]["checkpoint_id"] == body["checkpoint_id"]
    assert body["parent_checkpoint"]["checkpoint_id"] == body["parent_checkpoint_id"]
    assert body["metadata"]["source"] == "loop"
    assert body["metadata"]["step"] == 2
    assert body["metadata"]["graph_id"] == "counter"
    assert body["created_at"]


async def test_messages_are_returned_as_objects(api, run):
    thread_id = await run("echo", {"messages": [{"role": "user", "content": "hi"}]})
    messages = (await api.get(f"/threads/{thread_id}/state")).json()["values"]["messages"]
    assert [(m["type"], m["content"]) for m in messages] == [("human", "hi"), ("ai", "echo: hi")]
    assert all(m["id"] for m in messages)


async def test_update_goes_through_reducers(api, counted):
    await api.post(f"{counted}/state", json={"values": {"total": 9, "label": "M"}, "as_node": "second"})
    values = (await api.get(f"{counted}/state")).json()["values"]
    assert values["total"] == 120
    assert values["label"] == "M"


async def test_update_as_node_decides_what_is_next(api, counted):
    await api.post(f"{counted}/state", json={"values": {"total": 1}, "as_node": "first"})
    assert (await api.get(f"{counted}/state")).json()["next"] == ["second"]
    assert (await api.get(counted)).json()["status"] == "interrupted"
    await api.post(f"{counted}/state", json={"values": {"total": 1}, "as_node": "second"})
    assert (await api.get(f"{counted}/state")).json()["next"] == []
    assert (await api.get(counted)).json()["status"] == "idle"


async def test_update_errors(api, counted):
    assert_error(await api.post(f"{counted}/state", json={"values": {"total": 1}, "as_node": "nope"}), 400)
    for values in ("text", 5):
        assert_error(await api.post(f"{counted}/state", json={"values": values}), 422)
    assert_error(await api.post(f"{counted}/state", json={"values": [{"total": 1}], "as_node": "first"}), 400)


async def test_messages_can_be_updated_by_id(api, run):
    thread_id = await run("echo", {"messages": [{"role": "user", "content": "hi", "id": "m1"}]})
    await api.post(
        f"/threads/{thread_id}/state",
        json={"values": {"messages": [{"role": "user", "content": "bye", "id": "m1"}]}, "as_node": "reply"},
    )
    messages = (await api.get(f"/threads/{thread_id}/state")).json()["values"]["messages"]
    assert [m["content"] for m in messages] == ["bye", "echo: hi"]


async def test_state_at_a_checkpoint(api, counted):
    history = (await api.get(f"{counted}/history", params={"limit": 10})).json()
    earlier = history[1]
    body = (await api.get(f"{counted}/state/{earlier['checkpoint_id']}")).json()
    assert body["values"] == earlier["values"] == {"total": 101, "steps": ["first"], "label": "L"}
    assert body["next"] == ["second"]
    assert body["tasks"][0]["name"] == "second"
    assert body["tasks"][0]["result"] == {"total": 10, "steps": ["second"]}

    response = await api.post(
        f"{counted}/state/checkpoint", json={"checkpoint": {"checkpoint_id": history[1]["checkpoint_id"]}}
    )
    assert response.json()["values"] == history[1]["values"]
    latest = await api.post(f"{counted}/state/checkpoint", json={"checkpoint": {}})
    assert latest.json()["values"] == history[0]["values"]
    assert_error(await api.post(f"{counted}/state/checkpoint", json={}), 422)


async def test_state_at_an_unknown_checkpoint_is_empty(api, counted):
    body = (await api.get(f"{counted}/state/{unique()}")).json()
    assert body["values"] == {} and body["next"] == []
    assert body["created_at"] is None


async def test_update_at_a_checkpoint_forks(api, counted):
    history = (await api.get(f"{counted}/history", params={"limit": 10})).json()
    base = history[1]["checkpoint"]
    await api.post(f"{counted}/state", json={"values": {"total": 1000}, "checkpoint": base, "as_node": "first"})
    state = (await api.get(f"{counted}/state")).json()
    assert state["values"]["total"] == 1101
    assert state["next"] == ["second"]
    assert state["parent_checkpoint"]["checkpoint_id"] == base["checkpoint_id"]
    assert len((await api.get(f"{counted}/history", params={"limit": 10})).json()) == 5


async def test_interrupted_state_lists_tasks_and_interrupts(api, run):
    path = f"/threads/{await run('approval', {'draft': 'D'})}"
    state = (await api.get(f"{path}/state")).json()
    assert state["next"] == ["ask"]
    (task,) = state["tasks"]
    assert task["name"] == "ask"
    assert task["error"] is None
    (interrupt,) = task["interrupts"]
    assert interrupt["value"] == {"question": "approve?", "draft": "D"}
    assert interrupt["id"]
    assert state["interrupts"] == task["interrupts"]


async def test_subgraph_state(api, run):
    path = f"/threads/{await run('nested', {'text': 't'})}/state"
    (task,) = (await api.get(path)).json()["tasks"]
    assert task["name"] == "child"
    assert task["state"] is None
    assert task["checkpoint"]["checkpoint_ns"].startswith("child:")
    (task,) = (await api.get(path, params={"subgraphs": "true"})).json()["tasks"]
    assert task["checkpoint"] is None
    assert task["state"]["values"] == {"text": "touter+inner"}
    assert task["state"]["next"] == ["inner_ask"]
    assert task["state"]["checkpoint"]["checkpoint_ns"].startswith("child:")

    path = f"/threads/{await run('nested', {'text': 't'})}/state"
    pointer = (await api.get(path)).json()["tasks"][0]["checkpoint"]
    body = (await api.post(f"{path}/checkpoint", json={"checkpoint": pointer})).json()
    assert body["values"] == {"text": "touter+inner"}


async def test_subgraph_state_can_be_updated(api, run):
    path = f"/threads/{await run('nested', {'text': 't'})}/state"
    pointer = (await api.get(path)).json()["tasks"][0]["checkpoint"]
    response = await api.post(path, json={"values": {"text": "patched"}, "checkpoint": pointer})
    assert response.json()["checkpoint"]["checkpoint_ns"] == pointer["checkpoint_ns"]
    (task,) = (await api.get(path, params={"subgraphs": "true"})).json()["tasks"]
    assert task["state"]["values"] == {"text": "patched"}


async def test_sdk_state(sdk, make_thread):
    thread = await make_thread(metadata={"graph_id": "counter"})
    written = await sdk.threads.update_state(thread["thread_id"], {"total": 5}, as_node="first")
    state = await sdk.threads.get_state(thread["thread_id"])
    assert state["values"]["total"] == 5
    at = await sdk.threads.get_state(thread["thread_id"], checkpoint=written["checkpoint"])
    assert at["checkpoint"]["checkpoint_id"] == written["checkpoint"]["checkpoint_id"]
    by_id = await sdk.threads.get_state(thread["thread_id"], checkpoint_id=written["checkpoint"]["checkpoint_id"])
    assert by_id["values"] == state["values"]
