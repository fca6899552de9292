"""Create, read, change and delete assistants."""

import pytest
from langgraph_sdk.errors import NotFoundError

from tests.contract.resources.checks import assert_error, is_uuid, unique


async def test_create_with_defaults(api, make_assistant):
    body = await make_assistant("echo")
    assert is_uuid(body["assistant_id"])
    assert body["graph_id"] == "echo"
    assert body["name"] == "Untitled"
    assert body["version"] == 1
    assert body["config"] == {} and body["context"] == {} and body["metadata"] == {}
    assert body["description"] is None
    assert body["created_at"] == body["updated_at"]
    assert (await api.get(f"/assistants/{body['assistant_id']}")).json() == body


async def test_create_keeps_what_was_sent(make_assistant):
    assistant_id = unique()
    body = await make_assistant(
        "configured",
        assistant_id=assistant_id,
        name="Support",
        description="answers",
        metadata={"a": 1, "b": {"c": [1, 2]}},
        config={"tags": ["t"], "recursion_limit": 7, "configurable": {"tone": "warm"}},
    )
    assert body["assistant_id"] == assistant_id
    assert body["name"] == "Support"
    assert body["description"] == "answers"
    assert body["metadata"] == {"a": 1, "b": {"c": [1, 2]}}
    assert body["config"] == {"tags": ["t"], "recursion_limit": 7, "configurable": {"tone": "warm"}}


async def test_configurable_and_context_mirror_each_other(make_assistant):
    body = await make_assistant("configured", config={"configurable": {"tone": "warm"}})
    assert body["context"] == {"tone": "warm"}

    body = await make_assistant("configured", context={"tone": "warm"})
    assert body["config"] == {"configurable": {"tone": "warm"}}
    assert body["context"] == {"tone": "warm"}


async def test_configurable_and_context_together_are_refused(api):
    response = await api.post(
        "/assistants",
        json={"graph_id": "configured", "config": {"configurable": {"tone": "a"}}, "context": {"tone": "b"}},
    )
    assert_error(response, 400)


async def test_reserved_keys_are_dropped(make_assistant):
    body = await make_assistant(
        "echo", metadata={"thread_id": "x", "assistant_id": "x", "run_id": "x", "cron_id": "x", "kept": 1}
    )
    assert body["metadata"] == {"kept": 1}

    body = await make_assistant(
        "echo", config={"configurable": {"langgraph_auth_user": {"identity": "root"}, "kept": 1}}
    )
    assert body["config"]["configurable"] == {"kept": 1}


async def test_create_twice_conflicts(api, make_assistant):
    first = await make_assistant("echo")
    response = await api.post("/assistants", json={"graph_id": "echo", "assistant_id": first["assistant_id"]})
    assert_error(response, 409)


async def test_create_for_an_unknown_graph_is_404(api):
    assert_error(await api.post("/assistants", json={"graph_id": "no-such-graph"}), 404)


async def test_create_rejects_wrong_types(api):
    for fields in (
        {},
        {"graph_id": None},
        {"graph_id": 1},
        {"graph_id": "echo", "assistant_id": "nope"},
        {"graph_id": "echo", "if_exists": "replace"},
        {"graph_id": "echo", "metadata": []},
        {"graph_id": "echo", "name": None},
        {"graph_id": "echo", "config": {"tags": "t"}},
        {"graph_id": "echo", "config": {"recursion_limit": "5"}},
    ):
        assert_error(await api.post("/assistants", json=fields), 422)


async def test_patch_replaces_config(api, make_assistant):
    assistant = await make_assistant("echo", config={"tags": ["a"], "recursion_limit": 9})
    body = (await api.patch(f"/assistants/{assistant['assistant_id']}", json={"config": {"tags": ["b"]}})).json()
    assert body["config"] == {"tags": ["b"]}


async def test_patch_name_description_and_graph(api, make_assistant):
    assistant = await make_assistant("echo", name="old")
    body = (
        await api.patch(
            f"/assistants/{assistant['assistant_id']}",
            json={"name": "new", "description": "text", "graph_id": "counter"},
        )
    ).json()
    assert (body["name"], body["description"], body["graph_id"]) == ("new", "text", "counter")
    assert body["created_at"] == assistant["created_at"]
    assert body["updated_at"] > assistant["updated_at"]


async def test_versions_are_listed_newest_first(api, make_assistant):
    path = f"/assistants/{(await make_assistant('echo', name='one'))['assistant_id']}"
    await api.patch(path, json={"name": "two"})
    await api.patch(path, json={"name": "three"})
    versions = (await api.post(f"{path}/versions", json={})).json()
    assert [(v["version"], v["name"]) for v in versions] == [(3, "three"), (2, "two"), (1, "one")]
    assert "updated_at" not in versions[0]


async def test_versions_can_be_paged_and_filtered(api, make_assistant):
    path = f"/assistants/{(await make_assistant('echo', metadata={'step': 1}))['assistant_id']}"
    for step in (2, 3):
        await api.patch(path, json={"metadata": {"step": step}})
    page = (await api.post(f"{path}/versions", json={"limit": 1, "offset": 1})).json()
    assert [v["version"] for v in page] == [2]
    match = (await api.post(f"{path}/versions", json={"metadata": {"step": 3}})).json()
    assert [v["version"] for v in match] == [3]


async def test_unknown_versions_are_404(api, make_assistant):
    assert_error(await api.post(f"/assistants/{unique()}/versions", json={}), 404)

    path = f"/assistants/{(await make_assistant('echo'))['assistant_id']}"
    assert_error(await api.post(f"{path}/latest", json={"version": 99}), 404)
    assert_error(await api.post(f"{path}/latest", json={"version": "1"}), 422)


async def test_latest_goes_back_to_an_older_version(api, make_assistant):
    path = f"/assistants/{(await make_assistant('echo', name='one', metadata={'v': 1}))['assistant_id']}"
    await api.patch(path, json={"name": "two", "metadata": {"v": 2}, "config": {"tags": ["two"]}})
    body = (await api.post(f"{path}/latest", json={"version": 1})).json()
    assert (body["version"], body["name"], body["metadata"], body["config"]) == (1, "one", {"v": 1}, {})
    assert (await api.get(path)).json()["version"] == 1


async def test_patch_after_latest_continues_the_numbering(api, make_assistant):
    path = f"/assistants/{(await make_assistant('echo'))['assistant_id']}"
    await api.patch(path, json={"name": "two"})
    await api.post(f"{path}/latest", json={"version": 1})
    assert (await api.patch(path, json={"name": "three"})).json()["version"] == 3


async def test_delete(api, make_assistant):
    assistant_id = (await make_assistant("echo"))["assistant_id"]
    response = await api.delete(f"/assistants/{assistant_id}")
    assert response.status_code == 204
    assert response.content == b""
    assert_error(await api.get(f"/assistants/{assistant_id}"), 404)
    assert_error(await api.delete(f"/assistants/{assistant_id}"), 404)
    assert_error(await api.post(f"/assistants/{assistant_id}/versions", json={}), 404)


async def test_delete_can_take_its_threads_along(api, make_assistant, make_thread, run):
    assistant_id = (await make_assistant("counter"))["assistant_id"]
    thread_id = await run(assistant_id, {"total": 1})
    other = (await make_thread())["thread_id"]
    response = await api.delete(f"/assistants/{assistant_id}", params={"delete_threads": "true"})
    assert response.status_code == 204
    assert_error(await api.get(f"/threads/{thread_id}"), 404)
    assert (await api.get(f"/threads/{other}")).status_code == 200


async def test_sdk_round_trip(sdk):
    created = await sdk.assistants.create("echo", name="via sdk", metadata={"k": 1})
    assert (await sdk.assistants.get(created["assistant_id"]))["name"] == "via sdk"
    updated = await sdk.assistants.update(created["assistant_id"], name="renamed")
    assert updated["version"] == 2
    assert len(await sdk.assistants.get_versions(created["assistant_id"])) == 2
    assert (await sdk.assistants.set_latest(created["assistant_id"], 1))["name"] == "via sdk"
    await sdk.assistants.delete(created["assistant_id"])
    with pytest.raises(NotFoundError):
        await sdk.assistants.get(created["assistant_id"])
