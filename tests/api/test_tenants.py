"""Two tenants walk every operation: of what the other has nothing can be read, found, counted, changed or guessed.

An operation that takes a body has its entry in `tenant.py`, so a new one cannot be forgotten.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from lineshaft.config.auth import AuthConfig
from lineshaft.redis.client import Client
from lineshaft_api.app import OPERATIONS

from .gateway import Gateway, publish, serving
from .tenant import BODIES, MARK, Tenant, nobodys

WALKED = {f"{op.method} {op.path}": op for op in OPERATIONS if op.scope not in (None, "admin")}
# Not for tenants at all.
STEERING = sorted(f"{op.method} {op.path}" for op in OPERATIONS if op.scope == "admin")
# Of an id that is nobody's they make something; of one that is another's they are told that it is taken.
TAKEN = {"POST /threads": 409, "POST /assistants": 409}
# Followed until something happens, which has tests of its own below.
FOLLOWED = {"POST /threads/{thread_id}/stream/events"}


@pytest.fixture
async def gateway(client: Client) -> AsyncIterator[Gateway]:
    config = AuthConfig(path=f"{Path(__file__).with_name('tenancy.py')}:auth")
    async with serving(client, msgspec.structs.replace(client.settings, langgraph_auth=config)) as started:
        await publish(client, "g", type="object")
        started.desk.forget(await started.desk.open())
        yield started
        await client.redis.flushall()  # whatever the walks have made


@pytest.fixture
async def alice(gateway: Gateway) -> Tenant:
    tenant = Tenant(gateway, "alice")
    await tenant.settle()
    return tenant


@pytest.fixture
async def bob(gateway: Gateway) -> Tenant:
    return Tenant(gateway, "bob")


def test_every_operation_that_takes_a_body_is_walked() -> None:
    assert {name for name, op in WALKED.items() if op.body} - FOLLOWED <= BODIES.keys()


@pytest.mark.parametrize("name", sorted(WALKED.keys() - FOLLOWED))
async def test_what_is_anothers_is_as_if_it_were_not_there(alice: Tenant, bob: Tenant, name: str) -> None:
    before = await alice.belongings()
    for body in BODIES.get(name, [None]):
        status, text = await bob.send(name, body, alice.ids)
        assert MARK not in text.replace(f"Unknown tool: {MARK}", "")
        assert status not in (403, 500)
        if name in TAKEN:
            assert status == TAKEN[name]
        else:
            assert (status, text) == await bob.send(name, body, nobodys())
    assert await alice.belongings() == before


@pytest.mark.parametrize("name", sorted(WALKED.keys() - FOLLOWED))
async def test_the_owner_gets_another_answer(alice: Tenant, bob: Tenant, name: str) -> None:
    """Otherwise the walk above would walk past the doors."""
    if name == "GET /threads/{thread_id}/stream/events":
        pytest.skip("a request that is no WebSocket; those have a test of their own")
    for body in BODIES.get(name, [None]):
        to_stranger = await bob.send(name, body, alice.ids)
        before = await alice.belongings()
        to_owner = await alice.send(name, body, alice.ids)
        if to_owner != to_stranger or await alice.belongings() != before:
            return
    pytest.fail("nothing that is sent shows the owner more than a stranger")


@pytest.mark.parametrize("name", STEERING)
async def test_what_is_for_operators_is_not_for_tenants(alice: Tenant, name: str) -> None:
    assert name.partition(" ")[2].startswith("/internal/")
    for body in BODIES.get(name, [None]):
        status, text = await alice.send(name, body, alice.ids)
        assert status == 403 and "permission 'admin'" in text


async def test_an_operator_sees_what_all_tenants_have(gateway: Gateway, alice: Tenant, bob: Tenant) -> None:
    await bob.settle()
    operator = Tenant(gateway, "operator")
    runs = (await operator.json("GET", "/internal/runs"))["runs"]
    assert {run["run_id"] for run in runs} == {alice.ids["run_id"], bob.ids["run_id"]}
    status, text = await operator.send("POST /internal/runs/{run_id}/cancel", None, alice.ids)
    assert status == 200, text
    assert [entry["who"] for entry in await operator.json("GET", "/internal/audit")] == ["operator"]


async def test_events_of_anothers_thread_reach_nobody_else(gateway: Gateway, alice: Tenant, bob: Tenant) -> None:
    path, body = f"/threads/{alice.ids['thread_id']}/stream/events", {"channels": ["lifecycle", "values"]}
    async with (
        gateway.http.post(path, json=body, headers=bob.headers) as to_bob,
        gateway.http.post(path, json=body, headers=alice.headers) as to_alice,
        gateway.http.ws_connect(path, headers=bob.headers) as socket,
    ):
        assert (to_bob.status, to_alice.status) == (200, 200)
        await socket.send_json({"id": 1, "method": "subscription.subscribe", "params": body})
        assert (await socket.receive_json())["type"] == "success"
        await gateway.watched(alice.ids["thread_id"], 3)
        attempt = await gateway.claim()
        await attempt.emit("values", {"a": MARK})
        await attempt.finish(state=b'{"values":{"a":1}}')
        seen = b""
        while b"completed" not in seen:
            seen += await asyncio.wait_for(to_alice.content.readany(), 10)
        # All three are told by one doorbell; what bob's would get had been written before a later answer to him.
        await socket.send_json({"id": 2, "method": "agent.getTree", "params": {}})
        assert (await socket.receive_json())["id"] == 2
        await socket.send_json({"id": 3, "method": "subscription.reconnect", "params": {**body, "since": 0}})
        assert (await socket.receive_json())["error"] == "no_such_run"
        assert to_bob.content.total_bytes == 0


async def test_a_thread_that_is_waited_for_shows_nothing_when_another_makes_it(
    gateway: Gateway, alice: Tenant, bob: Tenant
) -> None:
    ids = nobodys()
    path, body = f"/threads/{ids['thread_id']}/stream/events", {"channels": ["lifecycle"]}
    async with (
        gateway.http.post(path, json=body, headers=bob.headers) as to_bob,
        gateway.http.post(path, json=body, headers=alice.headers) as to_alice,
    ):
        await gateway.watched(ids["thread_id"], 2)
        await alice.json("POST", f"/threads/{ids['thread_id']}/runs", {"assistant_id": "g", "if_not_exists": "create"})
        await gateway.claim()  # the one that she had before
        attempt = await gateway.claim()
        await attempt.finish()
        seen = b""
        while b"completed" not in seen:
            seen += await asyncio.wait_for(to_alice.content.readany(), 10)
        assert to_bob.content.total_bytes == 0


async def test_what_handlers_write_is_stored_over_what_clients_send(alice: Tenant, bob: Tenant) -> None:
    forged = {"metadata": {"owner": "alice", "m": 1}}
    thread = await bob.json("POST", "/threads", forged)
    assert thread["metadata"] == {"owner": "bob", "m": 1}
    assistant = await bob.json("POST", "/assistants", {"graph_id": "g", **forged})
    assert assistant["metadata"] == {"owner": "bob", "m": 1}
    changed = await bob.json("PATCH", f"/threads/{thread['thread_id']}", forged)
    assert changed["metadata"]["owner"] == "bob"
    changed = await bob.json("PUT", f"/assistants/{assistant['assistant_id']}", {"graph_id": "g", **forged})
    assert changed["metadata"]["owner"] == "bob"
    cron = await bob.json("POST", "/runs/crons", {"assistant_id": "g", "schedule": "@yearly", **forged})
    assert (cron["metadata"]["owner"], cron["payload"]["metadata"]["owner"], cron["user_id"]) == ("bob", "bob", "bob")
    run = await bob.json("POST", "/runs", {"assistant_id": "g", **forged})
    assert run["metadata"]["owner"] == "bob"
    assert run["kwargs"]["config"]["configurable"]["langgraph_auth_user_id"] == "bob"
    assert (await alice.json("POST", "/threads/search", {"metadata": {"m": 1}})) == []
    await bob.json("GET", f"/runs/{run['run_id']}")
    await alice.json("GET", f"/runs/{run['run_id']}", status=404)


async def test_a_run_that_outlives_its_thread_stays_its_owners(gateway: Gateway, alice: Tenant, bob: Tenant) -> None:
    run = await alice.json("POST", "/runs", {"assistant_id": "g"})
    while (attempt := await gateway.claim()).run != run["run_id"]:
        await attempt.finish()
    await attempt.finish()
    thread_gone = await alice.json("GET", f"/threads/{run['thread_id']}", status=404)
    assert "not found" in thread_gone["detail"]
    for path in (f"/runs/{run['run_id']}", f"/threads/{run['thread_id']}/runs/{run['run_id']}"):
        assert (await alice.json("GET", path))["status"] == "success"
        await bob.json("GET", path, status=404)


async def test_all_runs_that_are_cancelled_are_ones_own(gateway: Gateway, alice: Tenant, bob: Tenant) -> None:
    thread = await bob.json("POST", "/threads", {})
    own = await bob.json("POST", f"/threads/{thread['thread_id']}/runs", {"assistant_id": "g"})
    async with gateway.http.post("/runs/cancel", json={"status": "all"}, headers=bob.headers) as response:
        assert response.status == 204
    assert await gateway.desk.status(own["run_id"]) == "interrupted"
    assert await gateway.desk.status(alice.ids["run_id"]) == "pending"


async def test_deleting_an_assistant_with_its_threads_spares_those_of_others(
    gateway: Gateway, alice: Tenant, bob: Tenant
) -> None:
    shared = await bob.json("POST", "/assistants", {"graph_id": "g"})
    theirs = {"assistant_id": shared["assistant_id"], "if_not_exists": "create"}
    await bob.json("POST", f"/threads/{nobodys()['thread_id']}/runs", theirs)
    key = gateway.client.keys.thread(alice.ids["thread_id"])
    await gateway.client.command("HSET", key, "assistant_id", shared["assistant_id"])  # she may have used it once
    path = f"/assistants/{shared['assistant_id']}?delete_threads=true"
    async with gateway.http.delete(path, headers=bob.headers) as response:
        assert response.status == 204
    assert await bob.json("POST", "/threads/search", {}) == []
    await alice.json("GET", f"/threads/{alice.ids['thread_id']}")
