"""Authentication and authorization, on the server started with langgraph.auth.json.

Bearer tokens: alice, bob and guest are ordinary users, root is an admin whom
no filter applies to. Threads, assistants and crons belong to the user who made
them; each user's store lives under a namespace of their own.
"""

import pytest

from tests.contract.resources.checks import assert_error, bearer, eventually

ALICE, BOB, GUEST, ROOT = (bearer(name) for name in ("alice", "bob", "guest", "root"))


@pytest.fixture
async def thread(auth_api):
    """A thread of alice's."""
    response = await auth_api.post("/threads", json={"metadata": {"x": 1}}, headers=ALICE)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
async def assistant(auth_api):
    """An assistant of alice's."""
    response = await auth_api.post("/assistants", json={"graph_id": "counter"}, headers=ALICE)
    assert response.status_code == 200, response.text
    return response.json()


async def test_the_authenticator_may_answer_403(auth_api):
    response = await auth_api.post("/threads/search", json={}, headers=bearer("forbidden"))
    assert assert_error(response, 403) == "banned"


async def test_good_credentials_pass(auth_api):
    for headers in (ALICE, {"X-Api-Key": "service"}, bearer("plain"), bearer("tuple")):
        assert (await auth_api.post("/threads/search", json={}, headers=headers)).status_code == 200


async def test_meta_routes_are_open_and_custom_routes_can_be_protected(auth_api):
    for path in ("/ok", "/info", "/metrics", "/docs", "/openapi.json"):
        assert (await auth_api.get(path)).status_code == 200

    assert (await auth_api.get("/custom/hello")).status_code == 401
    assert (await auth_api.get("/custom/hello", headers=ALICE)).status_code == 200


async def test_a_handler_can_write_into_metadata(thread, auth_api):
    assert thread["metadata"] == {"x": 1, "owner": "alice"}

    response = await auth_api.post("/threads", json={"metadata": {"owner": "bob"}}, headers=ALICE)
    assert response.json()["metadata"]["owner"] == "alice"
    path = f"/threads/{thread['thread_id']}"
    response = await auth_api.patch(path, json={"metadata": {"owner": "bob", "y": 1}}, headers=ALICE)
    assert response.json()["metadata"] == {"x": 1, "y": 1, "owner": "alice"}


async def test_another_users_thread_looks_absent(auth_api, thread):
    path = f"/threads/{thread['thread_id']}"
    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"metadata": {"y": 1}}),
        ("DELETE", "", None),
        ("GET", "/state", None),
        ("POST", "/state", {"values": {}}),
        ("GET", "/history", None),
        ("GET", "/storage", None),
        ("GET", "/runs", None),
        ("POST", "/runs/wait", {"assistant_id": "counter", "input": {"total": 1}}),
        ("POST", "/runs/crons", {"assistant_id": "counter", "schedule": "0 0 1 1 *"}),
    ):
        response = await auth_api.request(method, path + suffix, json=body, headers=BOB)
        assert_error(response, 404)
    assert (await auth_api.get(path, headers=ALICE)).json()["metadata"] == {"x": 1, "owner": "alice"}


async def test_an_admin_sees_everything(auth_api, thread, assistant):
    assert (await auth_api.get(f"/threads/{thread['thread_id']}", headers=ROOT)).status_code == 200
    assert (await auth_api.get(f"/assistants/{assistant['assistant_id']}", headers=ROOT)).status_code == 200


async def test_another_users_assistant_looks_absent(auth_api, assistant):
    path = f"/assistants/{assistant['assistant_id']}"
    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("GET", "/graph", None),
        ("GET", "/schemas", None),
        ("GET", "/subgraphs", None),
        ("POST", "/versions", {}),
        ("POST", "/latest", {"version": 1}),
    ):
        response = await auth_api.request(method, path + suffix, json=body, headers=BOB)
        assert_error(response, 404)
    assert (await auth_api.get(path, headers=ALICE)).json()["version"] == 1


async def test_or_and_contains_filters(auth_api):
    shared = (
        await auth_api.post(
            "/assistants", json={"graph_id": "echo", "metadata": {"readers": ["carol", "bob"]}}, headers=ALICE
        )
    ).json()
    path = f"/assistants/{shared['assistant_id']}"
    assert (await auth_api.get(path, headers=BOB)).status_code == 200
    assert_error(await auth_api.get(path, headers=GUEST), 404)
    assert_error(await auth_api.patch(path, json={"name": "mine"}, headers=BOB), 404)


async def test_another_users_cron_looks_absent(auth_api):
    body = {"assistant_id": "counter", "schedule": "0 0 1 1 *"}
    cron = (await auth_api.post("/runs/crons", json=body, headers=ALICE)).json()
    assert cron["user_id"] == "alice"
    assert cron["metadata"]["owner"] == "alice"
    path = f"/runs/crons/{cron['cron_id']}"
    assert_error(await auth_api.get(path, headers=BOB), 404)
    assert_error(await auth_api.patch(path, json={"enabled": False}, headers=BOB), 404)
    assert_error(await auth_api.delete(path, headers=BOB), 404)
    found = (await auth_api.post("/runs/crons/search", json={}, headers=BOB)).json()
    assert cron["cron_id"] not in [row["cron_id"] for row in found]
    assert (await auth_api.delete(path, headers=ALICE)).status_code == 204


async def test_the_user_reaches_the_graph(auth_api):
    body = {"assistant_id": "configured", "input": {"topic": "t"}}
    response = await auth_api.post("/runs/wait", json=body, headers=ALICE)
    assert response.json()["seen"]["langgraph_auth_user_id"] == "alice"


async def test_a_cron_runs_as_its_user(auth_api, thread):
    path = f"/threads/{thread['thread_id']}"
    body = {"assistant_id": "configured", "schedule": "* * * * * *", "input": {"topic": "t"}}
    cron = (await auth_api.post(f"{path}/runs/crons", json=body, headers=ALICE)).json()

    async def seen():
        values = (await auth_api.get(f"{path}/state", headers=ALICE)).json()["values"]
        return values.get("seen")

    try:
        assert (await eventually(seen))["langgraph_auth_user_id"] == "alice"
    finally:
        await auth_api.delete(f"/runs/crons/{cron['cron_id']}", headers=ALICE)
