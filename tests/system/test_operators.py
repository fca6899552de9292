"""An operator at work on real processes: follows a run, drains workers, retries from a checkpoint, resumes."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import KEYS, Fleet
from tests.system.journal import PATIENCE, Journal, until
from tests.system.server import COMMAND, clean_environment

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> AsyncIterator[None]:
    """The fleet is other tests' too."""
    await fleet.ready()
    yield
    for worker in fleet.incarnations().values():
        fleet.redis.hdel(KEYS.worker(worker), "drained")


def lineshaft(fleet: Fleet, *arguments: str) -> list[str]:
    return [*COMMAND, *arguments, "--redis-uri", f"unix://{fleet.folder / 's'}"]


def said(fleet: Fleet, *arguments: str) -> str:
    done = subprocess.run(
        lineshaft(fleet, *arguments),
        cwd=fleet.folder, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_run_is_stopped_and_goes_on_from_its_checkpoint_when_workers_are_resumed(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    run = (await sdk.runs.create(thread_id, "steps", input=journal.input(hold=5), durability="sync"))["run_id"]
    await journal.wait_for("began", 5)
    async with httpx.AsyncClient(base_url=fleet.url, timeout=PATIENCE) as http:

        async def of(path: str, method: str = "GET", **body: Any) -> Any:
            answer = await http.request(method, f"/internal/{path}", **body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        workers = [worker["worker"] for worker in await of("workers")]
        assert len(workers) == 2
        for worker in workers:
            assert "takes no new runs" in said(fleet, "workers", "drain", worker)
        other = await sdk.runs.create(
            (await sdk.threads.create())["thread_id"], "mark", input=journal.input(name="other")
        )

        # What runs goes on, and can be cancelled; nothing else is taken.
        assert (await of(f"runs/{run}"))["lease"]["worker"] in workers
        await of(f"runs/{run}/cancel", "POST")
        await sdk.runs.join(thread_id, run)
        retry = await of(f"runs/{run}/retry", "POST")
        assert retry["starts"] == "from its last checkpoint"
        states = {row["run_id"]: row["state"] for row in (await of("runs?status=pending"))["runs"]}
        assert {states[other["run_id"]], states[retry["run_id"]]} == {"ready"}

        follows = lineshaft(fleet, "runs", "logs", "-f", "--json", retry["run_id"])
        following = await asyncio.create_subprocess_exec(
            *follows, cwd=fleet.folder, env=clean_environment(), stdout=asyncio.subprocess.PIPE
        )
        for worker in workers:
            await of(f"workers/{worker}/resume", "POST")
        await journal.wait_for("began", 5, times=2)
        journal.open_gate()
        output, _ = await asyncio.wait_for(following.communicate(), PATIENCE)
    lines = [json.loads(line) for line in output.splitlines()]
    assert (lines[0]["event"], lines[-1]["event"], lines[-1]["data"]) == ("metadata", "end", "success")
    done = (await sdk.threads.get_state(thread_id))["values"]
    assert done["done"] == list(range(10))  # type: ignore[call-overload]  # the values are an object
    began = [line.step for line in journal.lines("began") if not line.name]
    assert began == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
    await until(
        lambda: journal.lines("ended", 0) and fleet.record(other["run_id"])["status"] == "success", "it is done"
    )
    shown = said(fleet, "runs", "show", run)
    assert "cancelled" in shown and retry["run_id"] in shown
