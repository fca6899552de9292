"""Operators look at queues, workers, dead letters, crons and Redis, and act on them."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.access.api_keys import ApiKeys
from lineshaft.config.executor import ExecutorConfig, QueueConfig
from lineshaft.queues.control import pause
from lineshaft.redis.client import Client
from lineshaft_api.app import OPERATIONS

from .gateway import Gateway, serving

STEERING = [op for op in OPERATIONS if op.path.startswith("/internal/")]


@pytest.fixture
async def gateway(client: Client) -> AsyncIterator[Gateway]:
    async with serving(client, client.settings) as started:
        yield started


def test_all_of_it_is_for_operators_only() -> None:
    assert {op.scope for op in STEERING} == {"admin"}
    assert {op.tags for op in STEERING} == {("Operations",)}


@pytest.mark.parametrize(("scope", "graphs", "status"), [("write", [], 403), ("admin", ["g"], 403), ("admin", [], 200)])
async def test_a_key_needs_the_scope_admin(client: Client, scope: object, graphs: list[str], status: int) -> None:
    _, token = await ApiKeys(client).create("k", scope, graphs=graphs)  # type: ignore[arg-type]  # one of the scopes
    async with serving(client, msgspec.structs.replace(client.settings, lineshaft_auth="keys")) as gateway:
        headers = {"X-Api-Key": token}
        await gateway.json("GET", "/internal/queues", status, headers=headers)
        await gateway.json(
            "POST", "/internal/runs/cancel", 400 if status == 200 else status, headers=headers, json={"where": {}}
        )
        if status == 200:
            await gateway.json("POST", "/internal/queues/runs/pause", headers=headers)
            (entry,) = await gateway.json("GET", "/internal/audit", headers=headers)
            assert entry["who"] == token.split("_")[1] and entry["action"] == "pause queue"


async def test_queues_tell_each_state_of_their_runs(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await gateway.create(thread)
    attempt = await gateway.claim()
    await gateway.create(thread)
    await gateway.create(await gateway.thread())
    await gateway.create(await gateway.thread(), after_seconds=3600)
    rows = {row["queue"]: row for row in await gateway.json("GET", "/internal/queues")}
    runs = rows["runs"]
    assert [runs[state] for state in ("ready", "delayed", "waiting", "running")] == [1, 1, 1, 1]
    assert (runs["state"], runs["workers"], runs["warning"]) == ("open", 1, "")
    assert runs["oldest_wait"] >= 0
    await attempt.finish()
    overview = await gateway.json("GET", "/internal/overview")
    assert (overview["workers"], overview["ended_last_hour"], overview["failed_last_hour"]) == (1, 1, 0)


async def test_a_queue_that_nobody_serves_is_warned_of(gateway: Gateway) -> None:
    await gateway.create(await gateway.thread())
    await gateway.json("POST", f"/internal/workers/{gateway.desk.worker}/drain")
    rows = {row["queue"]: row for row in await gateway.json("GET", "/internal/queues")}
    assert rows["runs"]["warning"] == "no worker takes its runs"
    await gateway.json("POST", f"/internal/workers/{gateway.desk.worker}/resume")


async def test_a_queue_is_paused_drained_and_resumed(gateway: Gateway) -> None:
    path = "/internal/queues/runs"
    for action, state in (("pause", "paused"), ("drain", "draining"), ("resume", "open")):
        assert await gateway.json("POST", f"{path}/{action}") == {"changed": True, "detail": f"Queue runs is {state}."}
        again = await gateway.json("POST", f"{path}/{action}")
        assert again == {"changed": False, "detail": f"Queue runs is {state} already."}
    unknown = await gateway.json("POST", "/internal/queues/nobody/pause", status=404)
    assert "There are: runs" in unknown["detail"]
    await gateway.json("POST", "/internal/queues/overflow/pause", status=422)


async def test_workers_are_scaled_by_ready_and_running_runs(gateway: Gateway) -> None:
    """A busy fleet must not look idle; what nobody may take yet must not call for workers."""
    thread = await gateway.thread()
    await gateway.client.command("HSET", gateway.client.keys.worker(gateway.desk.worker), "slots", 2)
    await gateway.create(thread)
    attempt = await gateway.claim()
    await gateway.create(thread)  # waits for the first one
    await gateway.create(await gateway.thread(), after_seconds=3600)
    for _ in range(4):
        await gateway.create(await gateway.thread())
    scaling = await gateway.json("GET", "/internal/scaling/runs")
    assert (scaling["value"], scaling["slots_per_worker"], scaling["desired_replicas"]) == (5, 2, 3)
    assert (await gateway.json("GET", "/internal/scaling"))["queues"] == {"runs": scaling}
    await pause(gateway.client, "runs")
    paused = await gateway.json("GET", "/internal/scaling/runs")
    assert (paused["value"], paused["ready"], paused["desired_replicas"]) == (1, 4, 1)
    await attempt.finish()
    assert (await gateway.json("GET", "/internal/scaling/runs"))["desired_replicas"] == 0
    await gateway.json("GET", "/internal/scaling/nobody", status=404)


async def test_each_queue_of_the_configuration_has_a_number_to_scale_by(client: Client) -> None:
    client.settings = msgspec.structs.replace(
        client.settings, lineshaft_executor=ExecutorConfig(queues={"batch": QueueConfig()})
    )
    async with serving(client, client.settings) as gateway:
        thread = await gateway.thread()
        await client.command("HSET", client.keys.worker(gateway.desk.worker), "slots", 4, "queues", "runs:3,batch:1")
        for _ in range(5):
            await gateway.create(await gateway.thread(), config={"configurable": {"lineshaft_queue": "batch"}})
        await gateway.create(thread)
        found = (await gateway.json("GET", "/internal/scaling"))["queues"]
        assert {name: (row["value"], row["desired_replicas"]) for name, row in found.items()} == {
            "batch": (5, 2), "runs": (1, 1),
        }  # fmt: skip
        (worker,) = await gateway.json("GET", "/internal/workers")
        assert worker["queues"] == {"runs": 3, "batch": 1}
        await client.command("HSET", client.keys.worker(gateway.desk.worker), "queues", "runs:1")
        rows = {row["queue"]: row["warning"] for row in await gateway.json("GET", "/internal/queues")}
        assert rows == {"batch": "no worker takes its runs", "runs": "", "overflow": ""}


async def test_a_worker_is_drained_and_resumed(gateway: Gateway) -> None:
    await gateway.thread()
    worker = gateway.desk.worker
    path = f"/internal/workers/{worker}"
    assert await gateway.json("POST", f"{path}/drain") == {
        "changed": True,
        "detail": f"Worker {worker} takes no new runs.",
    }
    assert not (await gateway.json("POST", f"{path}/drain"))["changed"]
    (shown,) = await gateway.json("GET", "/internal/workers")
    assert shown["is_drained"] and shown["worker"] == worker
    assert (await gateway.json("GET", "/internal/overview"))["drained_workers"] == 1
    assert (await gateway.json("POST", f"{path}/resume"))["changed"]
    await gateway.json("POST", "/internal/workers/nobody/drain", status=404)


async def buried(gateway: Gateway) -> str:
    """A run that three workers died with, and that has been settled."""
    await gateway.create(await gateway.thread(), input={"a": 1})
    desk = gateway.desk
    for n in range(3):
        await desk.lease(f"w{n}")
        assert await desk.claim(worker=f"w{n}")
        await desk.client.script("worker_release", worker=f"w{n}", crashed=True, max_crashes=3)
    attempt = await gateway.claim()
    await attempt.finish("error", error=b'{"error":"WorkerCrashed","message":"m"}')
    return attempt.run


async def test_a_dead_letter_is_retried_once_or_deleted(gateway: Gateway) -> None:
    runs = [await buried(gateway) for _ in range(2)]
    second, first = await gateway.json("GET", "/internal/dead-letters")
    assert [first["run_id"], second["run_id"]] == runs and first["crashes"] == 3 and first["is_kept"]
    async with gateway.http.get("/internal/dead-letters/export") as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [line["letter"]["run_id"] for line in lines] == runs[::-1]
    reasons = [attempt["reason"] for attempt in lines[0]["detail"]["attempts"]]
    assert reasons == ["worker died", "worker died", "worker died", "failed"]
    assert lines[0]["detail"]["run"]["error_class"] == "WorkerCrashed"
    retry = await gateway.json("POST", f"/internal/dead-letters/{first['id']}/retry")
    assert (retry["retry_of"], retry["starts"]) == (runs[0], "from its input")
    gone = await gateway.json("POST", f"/internal/dead-letters/{first['id']}/retry", status=404)
    assert "it was retried, deleted, or has become too old" in gone["detail"]
    async with gateway.http.delete(f"/internal/dead-letters/{second['id']}") as response:
        assert response.status == 204
    assert await gateway.json("GET", "/internal/dead-letters") == []
    await gateway.json("POST", "/internal/dead-letters/x/retry", status=422)


async def test_a_dead_letter_whose_run_has_gone_can_only_be_deleted(gateway: Gateway) -> None:
    await buried(gateway)
    (letter,) = await gateway.json("GET", "/internal/dead-letters")
    run, thread = letter["run_id"], letter["thread_id"]
    await gateway.client.script("run_forget", run_id=run, thread_id=thread, request="q")
    refused = await gateway.json("POST", f"/internal/dead-letters/{letter['id']}/retry", status=409)
    assert "delete the letter" in refused["detail"]


async def test_a_cron_is_run_disabled_and_enabled(gateway: Gateway) -> None:
    thread = await gateway.thread()
    body = {"assistant_id": "g", "schedule": "@yearly", "input": {"a": 1}}
    cron = (await gateway.json("POST", f"/threads/{thread}/runs/crons", json=body))["cron_id"]
    path = f"/internal/crons/{cron}"
    assert (await gateway.json("POST", f"{path}/disable"))["changed"]
    assert not (await gateway.json("POST", f"{path}/disable"))["changed"]
    (row,) = await gateway.json("GET", "/internal/crons")
    assert (row["enabled"], row["late"], row["last_fired_at"]) == (False, 0, None)
    assert (await gateway.json("POST", f"{path}/enable"))["changed"]
    run = (await gateway.json("POST", f"{path}/run"))["run_id"]
    shown = await gateway.json("GET", f"/threads/{thread}/runs/{run}")
    assert shown["kwargs"]["config"]["configurable"]["cron_id"] == cron
    await gateway.json("POST", "/internal/crons/00000000-0000-0000-0000-000000000000/run", status=404)


async def test_health_says_what_is_wrong(gateway: Gateway) -> None:
    alone = await gateway.json("GET", "/internal/health")
    assert not alone["ok"] and alone["problems"] == ["no worker is there: runs wait"]
    await gateway.thread()
    health = await gateway.json("GET", "/internal/health")
    assert health["ok"] and health["problems"] == [] and abs(health["clock_skew_seconds"]) < 1
    assert health["redis"]["appendonly"] and health["redis"]["maxmemory_policy"] == "noeviction"
    assert health["redis"]["used_memory"] > 0


async def test_webhooks_that_were_given_up_are_listed(gateway: Gateway) -> None:
    assert await gateway.json("GET", "/internal/webhooks") == []
    await gateway.create(await gateway.thread(), webhook="http://example.com/hook")
    attempt = await gateway.claim()
    await attempt.finish(content=b"{}")
    keys, client = gateway.client.keys, gateway.client
    await client.command("HSET", keys.webhook(attempt.run), "outcome", "failed")
    await client.command("ZADD", keys.webhooks_failed(), 1, attempt.run)
    (call,) = await gateway.json("GET", "/internal/webhooks")
    assert (call["run_id"], call["outcome"]) == (attempt.run, "failed")
    await client.command("DEL", keys.webhooks_failed())
