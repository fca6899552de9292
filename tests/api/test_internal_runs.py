"""Operators find, look into, cancel and retry runs of all threads."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.config.executor import ExecutorConfig, QueueConfig
from lineshaft.redis.client import Client

from .gateway import Gateway, serving


@pytest.fixture
async def gateway(client: Client) -> AsyncIterator[Gateway]:
    async with serving(client, client.settings) as started:
        yield started


async def failed(gateway: Gateway, kind: str = "ValueError", **fields: Any) -> str:
    """A run that has failed on a thread of its own."""
    await gateway.create(await gateway.thread(), **fields)
    attempt = await gateway.claim()
    stack = f'Traceback:\n  File "/app/graph.py", line 7, in node\n{kind}: no'
    failure = b'{"error":"%s","message":"no","stack":%s}' % (kind.encode(), _json(stack))
    await attempt.finish(
        "error", error=b'{"error":"RunFailed","message":"it failed"}', failure=failure, error_class=kind
    )
    return attempt.run


def _json(text: str) -> bytes:
    return b'"' + text.replace('"', '\\"').replace("\n", "\\n").encode() + b'"'


async def audited(gateway: Gateway) -> list[tuple[str, str, int, str]]:
    entries = await gateway.json("GET", "/internal/audit")
    return [(entry["action"], entry["target"], entry["count"], entry["outcome"]) for entry in reversed(entries)]


async def test_runs_are_found_page_by_page(gateway: Gateway) -> None:
    runs = {await failed(gateway) for _ in range(3)}
    page = await gateway.json("GET", "/internal/runs?status=error&limit=2&error_class=ValueError&older_than=0")
    rest = await gateway.json("GET", f"/internal/runs?status=error&limit=2&cursor={page['next']}")
    assert len(page["runs"]) == 2 and rest["next"] is None
    assert {row["run_id"] for row in page["runs"] + rest["runs"]} == runs
    assert (await gateway.json("GET", "/internal/runs?graph=other"))["runs"] == []
    await gateway.json("GET", "/internal/runs?status=odd", status=422)
    await gateway.json("GET", "/internal/runs?cursor=x", status=422)


async def test_a_run_is_shown_with_its_error_and_attempts(gateway: Gateway) -> None:
    run = await failed(gateway, input={"secret": "word"})
    detail = await gateway.json("GET", f"/internal/runs/{run}")
    assert detail["failure"]["stack"].endswith("ValueError: no")
    assert detail["error"] == {"error": "RunFailed", "message": "it failed"}
    assert [attempt["reason"] for attempt in detail["attempts"]] == ["failed"]
    assert [event["event"] for event in detail["events"]] == ["end", "metadata"]
    assert "word" not in str(detail)
    await gateway.json("GET", "/internal/runs/00000000-0000-0000-0000-000000000000", status=404)


async def test_errors_are_grouped_by_class_and_place(gateway: Gateway) -> None:
    for kind in ("ValueError", "KeyError", "ValueError"):
        await failed(gateway, kind)
    groups = await gateway.json("GET", "/internal/errors")
    assert [(group["error_class"], group["place"], group["count"]) for group in groups] == [
        ("ValueError", "graph.py:7 in node", 2), ("KeyError", "graph.py:7 in node", 1),
    ]  # fmt: skip
    assert groups[0]["graphs"] == ["g"] and groups[0]["first_at"] <= groups[0]["last_at"]


async def test_a_cancel_says_what_became_of_it(gateway: Gateway) -> None:
    thread = await gateway.thread()
    running = await gateway.create(thread)
    attempt = await gateway.claim()
    waiting = await gateway.create(thread)
    path = f"/internal/runs/{running}/cancel"
    assert (await gateway.json("POST", f"/internal/runs/{waiting}/cancel"))["detail"].endswith("was cancelled.")
    assert (await gateway.json("POST", path))["changed"]
    again = await gateway.json("POST", path)
    assert (again["changed"], again["detail"]) == (False, f"Run {running} is being cancelled already (interrupt).")
    await attempt.finish("interrupted", handled="interrupt")
    assert "has ended already: interrupted" in (await gateway.json("POST", path, status=409))["detail"]
    assert await audited(gateway) == [
        ("cancel run (interrupt)", waiting, 1, "asked"), *[("cancel run (interrupt)", running, 1, "asked")] * 3,
        ("cancel run (interrupt)", running, 1, f"refused: Run {running} has ended already: interrupted"),
    ]  # fmt: skip


async def test_a_retry_is_made_once(gateway: Gateway) -> None:
    run = await failed(gateway, input={"a": 1}, metadata={"m": 1}, config={"tags": ["t"]})
    first, second = [await gateway.json("POST", f"/internal/runs/{run}/retry") for _ in range(2)]
    assert (first["is_new"], second["is_new"]) == (True, False)
    assert first["run_id"] == second["run_id"] and first["starts"] == "from its input"
    thread = first["thread_id"]
    one, other = [await gateway.json("GET", f"/threads/{thread}/runs/{r}") for r in (run, first["run_id"])]
    assert one["kwargs"] == other["kwargs"] | {"config": one["kwargs"]["config"]}
    assert (one["metadata"], other["status"]) == (other["metadata"], "pending")
    assert (await gateway.json("GET", f"/internal/runs/{run}"))["retried_as"] == first["run_id"]
    assert (await gateway.json("GET", f"/internal/runs/{first['run_id']}"))["retry_of"] == run


async def test_what_makes_no_sense_is_not_retried(gateway: Gateway) -> None:
    await gateway.create(await gateway.thread())
    attempt = await gateway.claim()
    path = f"/internal/runs/{attempt.run}/retry"
    assert "is still running" in (await gateway.json("POST", path, status=409))["detail"]
    await attempt.finish()
    assert "has succeeded" in (await gateway.json("POST", path, status=409))["detail"]
    run = await failed(gateway)
    await gateway.client.command("DEL", gateway.client.keys.run_input(run))  # a day later
    assert "input of run" in (await gateway.json("POST", f"/internal/runs/{run}/retry", status=409))["detail"]


async def test_a_filter_is_looked_at_before_it_is_acted_on(gateway: Gateway) -> None:
    runs = [await gateway.create(await gateway.thread()) for _ in range(3)]
    where = {"graph": "g", "status": "pending"}
    path = "/internal/runs/cancel"
    shown = await gateway.json("POST", path, json={"where": where})
    assert (shown["dry_run"], shown["matched"], shown["done"], len(shown["sample"])) == (True, 3, 0, 3)
    assert await audited(gateway) == []
    refused = await gateway.json("POST", path, status=409, json={"where": where, "dry_run": False, "maximum": 2})
    assert "More than 2 runs match" in refused["detail"]
    assert await gateway.desk.status(runs[0]) == "pending"
    done = await gateway.json("POST", path, json={"where": where, "dry_run": False})
    assert (done["matched"], done["done"], done["refused"]) == (3, 3, 0)
    assert [await gateway.desk.status(run) for run in runs] == ["interrupted"] * 3
    again = await gateway.json("POST", path, json={"where": where, "dry_run": False})
    assert again["matched"] == 0
    empty = await gateway.json("POST", path, status=400, json={"where": {}, "dry_run": False})
    assert "Name at least one condition" in empty["detail"]
    entry = (await gateway.json("GET", "/internal/audit"))[-1]
    assert (entry["where"], entry["count"]) == (where, 2)


async def test_many_are_retried_and_refusals_are_told(gateway: Gateway) -> None:
    good, bad = await failed(gateway), await failed(gateway)
    await failed(gateway, "KeyError")
    await gateway.client.command("DEL", gateway.client.keys.run_input(bad))
    body = {"where": {"error_class": "ValueError"}, "dry_run": False}
    done = await gateway.json("POST", "/internal/runs/retry", json=body)
    assert (done["matched"], done["done"], done["refused"]) == (2, 1, 1)
    assert done["refusals"][0].startswith(bad)
    assert (await gateway.json("GET", f"/internal/runs/{good}"))["retried_as"]


async def test_a_retry_goes_to_the_queue_that_its_first_run_chose(client: Client) -> None:
    """Also from a command line that has not been told which queues there are."""
    queues = ExecutorConfig(queues={"batch": QueueConfig()})
    async with serving(client, msgspec.structs.replace(client.settings, lineshaft_executor=queues)) as gateway:
        # The gateway reads its client's settings.
        client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=queues)
        config = {"configurable": {"lineshaft_queue": "batch", "lineshaft_priority": 2}}
        run = await gateway.create(await gateway.thread(), config=config)
        await gateway.json("POST", f"/internal/runs/{run}/cancel")
        client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=ExecutorConfig())
        again = (await gateway.json("POST", f"/internal/runs/{run}/retry"))["run_id"]
        found = (await gateway.json("GET", "/internal/runs?queue=batch"))["runs"]
        assert [row["run_id"] for row in found] == [again, run]
        assert await gateway.desk.field(again, "priority") == "2"
