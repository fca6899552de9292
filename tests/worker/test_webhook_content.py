"""What a call says of a run that a worker has executed."""

import json
from typing import Any

import msgspec
import pytest

from lineshaft.redis.client import Client
from lineshaft.webhooks.calls import Webhooks

from .in_process import Hire, Office

URL = "http://example.com/hook"


async def said(client: Client) -> dict[str, Any]:
    """The payload of the call that is due."""
    calls = Webhooks(client)
    call, _ = await calls.claim("q", 60)
    assert call
    found: dict[str, Any] = json.loads(await calls.body(call, 1))
    return found


@pytest.mark.usefixtures("worker")
async def test_a_call_is_the_run_as_clients_see_it_and_what_came_of_it(client: Client, office: Office) -> None:
    thread = await office.thread()
    run = await office.start("linear", thread, {"log": []}, webhook=URL, metadata={"m": 1}, config={"tags": ["t"]})
    assert await office.ended(run) == "success"
    payload = await said(client)
    record = json.loads(msgspec.json.encode(await office.runs.get(thread, run)))
    own = {name: payload.pop(name) for name in ("values", "run_started_at", "run_ended_at", "webhook_sent_at")}
    assert payload == record
    assert own["values"] == {"log": ["a", "b", "c"]}
    assert record["created_at"] <= own["run_started_at"] <= own["run_ended_at"] == record["updated_at"]


@pytest.mark.usefixtures("worker")
async def test_a_stateless_run_tells_its_values(client: Client, office: Office) -> None:
    """Nobody could ask for them afterwards: its thread is gone."""
    assert await office.run("linear", None, {"log": []}, webhook=URL) == "success"
    assert (await said(client))["values"] == {"log": ["a", "b", "c"]}


@pytest.mark.usefixtures("worker")
async def test_what_a_run_has_done_is_told_when_it_is_cancelled(client: Client, office: Office) -> None:
    thread = await office.thread()
    run = await office.start("slow", thread, {"log": []}, webhook=URL)
    await office.entered("opening")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    payload = await said(client)
    assert (payload["status"], payload["error"]["error"]) == ("interrupted", "UserInterrupt")


@pytest.mark.usefixtures("worker")
async def test_a_run_that_is_rolled_back_tells_no_values(client: Client, office: Office) -> None:
    thread = await office.thread()
    await office.run("linear", thread, {"log": []})
    run = await office.start("held", thread, {"log": []}, webhook=URL)
    await office.entered("hold gate")
    await office.cancel(thread, run, "rollback")
    assert await office.ended(run) is None
    payload = await said(client)
    assert (payload["run_id"], payload["status"], payload["values"]) == (run, "rollback", None)
    assert payload["error"]["error"] == "UserRollback"


async def test_a_dead_letter_calls_when_it_is_settled(client: Client, office: Office, hire: Hire) -> None:
    thread = await office.thread()
    run = await office.start("linear", thread, {"log": []}, webhook=URL)
    for _ in range(3):
        await office.lease(office.worker)
        await office.claim()
        await client.script("worker_release", worker=office.worker, crashed=True, max_crashes=3)
    assert await office.status(run) == "pending"
    await hire()
    assert await office.ended(run) == "error"
    payload = await said(client)
    assert (payload["status"], payload["error"]["error"]) == ("error", "WorkerCrashed")
