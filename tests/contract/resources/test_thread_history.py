"""The checkpoints of a thread, newest first."""

from itertools import pairwise

import pytest


@pytest.fixture
async def counted(api, run):
    """The history path of a finished counter thread and its four states."""
    path = f"/threads/{await run('counter', {'total': 100})}/history"
    states = (await api.get(path, params={"limit": 10})).json()
    return path, states


def ids(response):
    return [state["checkpoint_id"] for state in response.json()]


async def test_history_of_a_new_thread_is_empty(api, make_thread):
    path = f"/threads/{(await make_thread())['thread_id']}/history"
    assert (await api.get(path)).json() == []
    assert (await api.post(path, json={})).json() == []


async def test_each_state_points_to_its_parent(counted):
    _, states = counted
    for state, parent in pairwise(states):
        assert state["parent_checkpoint"]["checkpoint_id"] == parent["checkpoint"]["checkpoint_id"]
    assert states[-1]["parent_checkpoint"] is None


async def test_limit_defaults_to_one(api, counted):
    path, states = counted
    assert ids(await api.get(path)) == [states[0]["checkpoint_id"]]
    assert ids(await api.post(path, json={})) == [states[0]["checkpoint_id"]]

    path, states = counted
    assert ids(await api.get(path, params={"limit": 2})) == [s["checkpoint_id"] for s in states[:2]]
    assert ids(await api.post(path, json={"limit": 2})) == [s["checkpoint_id"] for s in states[:2]]


async def test_before(api, counted):
    path, states = counted
    response = await api.get(path, params={"limit": 10, "before": states[1]["checkpoint_id"]})
    assert ids(response) == [s["checkpoint_id"] for s in states[2:]]

    path, states = counted
    before = {"configurable": {"checkpoint_id": states[1]["checkpoint_id"]}}
    response = await api.post(path, json={"limit": 10, "before": before})
    assert ids(response) == [s["checkpoint_id"] for s in states[2:]]


async def test_metadata_filter(api, counted):
    path, states = counted
    response = await api.post(path, json={"limit": 10, "metadata": {"source": "input"}})
    assert ids(response) == [states[3]["checkpoint_id"]]
    response = await api.post(path, json={"limit": 10, "metadata": {"step": 1}})
    assert ids(response) == [states[1]["checkpoint_id"]]
    assert (await api.post(path, json={"metadata": {"source": "nope"}})).json() == []


async def test_checkpoint_filter_picks_a_subgraph(api, run):
    path = f"/threads/{await run('nested', {'text': 't'})}"
    pointer = (await api.get(f"{path}/state")).json()["tasks"][0]["checkpoint"]
    states = (await api.post(f"{path}/history", json={"limit": 10, "checkpoint": pointer})).json()
    assert states[0]["values"] == {"text": "touter+inner"}
    assert {s["checkpoint"]["checkpoint_ns"] for s in states} == {pointer["checkpoint_ns"]}
    root = (await api.get(f"{path}/history", params={"limit": 10})).json()
    assert {s["checkpoint"]["checkpoint_ns"] for s in root} == {""}
