"""Create, read, change, copy, prune and delete threads."""

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.contract.resources.checks import assert_error, is_uuid, unique


async def test_create_with_defaults(api, make_thread):
    body = await make_thread()
    assert is_uuid(body["thread_id"])
    assert body["status"] == "idle"
    assert body["metadata"] == {} and body["config"] == {}
    assert body["values"] is None
    assert body["created_at"] == body["updated_at"] == body["state_updated_at"]
    assert (await api.get(f"/threads/{body['thread_id']}")).json() == body


async def test_create_with_id_and_metadata(make_thread):
    thread_id = unique()
    body = await make_thread(thread_id=thread_id, metadata={"a": 1, "graph_id": "counter"})
    assert body["thread_id"] == thread_id
    assert body["metadata"] == {"a": 1, "graph_id": "counter"}

    body = await make_thread(metadata={"thread_id": "x", "assistant_id": "x", "run_id": "x", "cron_id": "x", "kept": 1})
    assert body["metadata"] == {"kept": 1}


async def test_create_twice_conflicts(api, make_thread):
    thread_id = (await make_thread())["thread_id"]
    assert_error(await api.post("/threads", json={"thread_id": thread_id}), 409)
    assert_error(await api.post("/threads", json={"thread_id": thread_id, "if_exists": "raise"}), 409)


async def test_create_twice_can_return_the_existing_one(make_thread):
    first = await make_thread(metadata={"a": 1})
    second = await make_thread(thread_id=first["thread_id"], if_exists="do_nothing", metadata={"b": 2})
    assert second == first


async def test_create_rejects_bad_fields(api):
    for fields in (
        {"thread_id": "bad"},
        {"thread_id": None},
        {"metadata": None},
        {"metadata": "x"},
        {"if_exists": "replace"},
        {"ttl": 60},
        {"ttl": {"strategy": "explode"}},
        {"supersteps": [{"updates": [{"values": {}}]}]},
    ):
        assert_error(await api.post("/threads", json=fields), 422)


async def test_patch_moves_updated_at_only(api, make_thread):
    thread = await make_thread()
    body = (await api.patch(f"/threads/{thread['thread_id']}", json={"metadata": {"a": 1}})).json()
    assert body["updated_at"] > thread["updated_at"]
    assert body["state_updated_at"] == thread["state_updated_at"]
    assert body["created_at"] == thread["created_at"]


async def test_patch_can_answer_without_a_body(api, make_thread):
    path = f"/threads/{(await make_thread())['thread_id']}"
    response = await api.patch(path, json={"metadata": {"a": 1}}, headers={"Prefer": "return=minimal"})
    assert response.status_code == 204
    assert response.content == b""
    assert (await api.get(path)).json()["metadata"] == {"a": 1}


async def test_patch_errors(api, make_thread):
    path = f"/threads/{(await make_thread())['thread_id']}"
    assert_error(await api.patch(path, json={"metadata": "x"}), 422)
    assert_error(await api.patch("/threads/bad", json={}), 422)
    assert_error(await api.patch(f"/threads/{unique()}", json={"metadata": {}}), 404)


async def test_delete(api, make_thread):
    path = f"/threads/{(await make_thread(metadata={'graph_id': 'counter'}))['thread_id']}"
    response = await api.delete(path)
    assert response.status_code == 204
    assert response.content == b""
    assert_error(await api.get(path), 404)
    assert_error(await api.delete(path), 404)
    assert_error(await api.get(f"{path}/state"), 404)
    assert_error(await api.get(f"{path}/history"), 404)
    assert_error(await api.post(f"{path}/state", json={"values": {}}), 404)


async def test_a_deleted_id_can_be_used_again(api, make_thread):
    thread_id = (await make_thread(metadata={"old": 1}))["thread_id"]
    await api.delete(f"/threads/{thread_id}")
    body = await make_thread(thread_id=thread_id)
    assert body["metadata"] == {}
    assert (await api.get(f"/threads/{thread_id}/history")).json() == []


async def test_supersteps_build_the_state(api, make_thread):
    thread = await make_thread(
        metadata={"graph_id": "counter"},
        supersteps=[
            {"updates": [{"values": {"total": 5}, "as_node": "__start__"}]},
            {"updates": [{"values": {"total": 2, "steps": ["first"]}, "as_node": "first"}]},
            {"updates": [{"values": {"total": 3, "steps": ["second"]}, "as_node": "second"}]},
        ],
    )
    assert thread["status"] == "idle"
    assert thread["values"] == {"total": 10, "steps": ["first", "second"]}
    history = (await api.get(f"/threads/{thread['thread_id']}/history", params={"limit": 10})).json()
    assert len(history) == 3


async def test_supersteps_take_commands(make_thread):
    thread = await make_thread(
        metadata={"graph_id": "approval"},
        supersteps=[
            {"updates": [{"values": {"draft": "d"}, "as_node": "__start__"}]},
            {"updates": [{"command": {"update": {"answer": "yes"}, "goto": "finish"}, "as_node": "prepare"}]},
        ],
    )
    assert thread["values"]["answer"] == "yes"


async def test_copy_takes_state_history_and_metadata(api, run, tag):
    thread_id = await run("counter", {"total": 1, "label": "L"}, metadata={"tag": tag})
    copied = (await api.post(f"/threads/{thread_id}/copy")).json()
    assert copied["thread_id"] != thread_id
    assert copied["metadata"]["tag"] == tag
    assert copied["metadata"]["graph_id"] == "counter"
    original, copy = [
        (await api.get(f"/threads/{i}/history", params={"limit": 20})).json() for i in (thread_id, copied["thread_id"])
    ]
    assert [s["values"] for s in copy] == [s["values"] for s in original]
    assert {s["checkpoint"]["thread_id"] for s in copy} == {copied["thread_id"]}


async def test_copy_is_independent(api, run):
    thread_id = await run("counter", {"total": 1})
    copy_id = (await api.post(f"/threads/{thread_id}/copy")).json()["thread_id"]
    await api.post(f"/threads/{copy_id}/state", json={"values": {"total": 100}, "as_node": "second"})
    assert (await api.get(f"/threads/{thread_id}/state")).json()["values"]["total"] == 12
    assert (await api.get(f"/threads/{copy_id}/state")).json()["values"]["total"] == 112


async def test_prune_deletes_and_skips_unknown(api, make_thread):
    ids = [(await make_thread())["thread_id"] for _ in range(2)]
    response = await api.post("/threads/prune", json={"thread_ids": [*ids, unique()]})
    assert response.json() == {"pruned_count": 2}
    for thread_id in ids:
        assert_error(await api.get(f"/threads/{thread_id}"), 404)

    for fields in ({}, {"thread_ids": ["bad"]}, {"thread_ids": [], "strategy": "burn"}):
        assert_error(await api.post("/threads/prune", json=fields), 422)


async def test_storage_counts_checkpoints(api, run, make_thread):
    empty = (await make_thread())["thread_id"]
    body = (await api.get(f"/threads/{empty}/storage")).json()
    assert body["thread_id"] == empty
    assert body["total_bytes"] == 0
    assert body["channel_values"]["by_channel"] == {}
    used = await run("counter", {"total": 1})
    body = (await api.get(f"/threads/{used}/storage")).json()
    assert body["checkpoints"]["count"] == 4
    assert body["total_bytes"] > 0
    assert body["channel_values"]["by_channel"]["total"]["versions"] >= 1
    assert {"count", "bytes"} <= set(body["pending_writes"])


async def test_sdk_round_trip(sdk):
    thread = await sdk.threads.create(metadata={"a": 1}, graph_id="counter", ttl=30)
    assert thread["metadata"]["graph_id"] == "counter"
    updated = await sdk.threads.update(thread["thread_id"], metadata={"b": 2})
    assert updated["metadata"]["b"] == 2
    assert (await sdk.threads.get(thread["thread_id"]))["thread_id"] == thread["thread_id"]
    await sdk.threads.delete(thread["thread_id"])
    with pytest.raises(NotFoundError):
        await sdk.threads.get(thread["thread_id"])


async def test_sdk_maps_errors(sdk, make_thread):
    thread = await make_thread()
    with pytest.raises(ConflictError):
        await sdk.threads.create(thread_id=thread["thread_id"], if_exists="raise")
    with pytest.raises(UnprocessableEntityError):
        await sdk.threads.get("bad")
