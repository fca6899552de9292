"""A worker that was deaf for a moment: what was published then was published to nobody."""

import asyncio
import time

import pytest

from lineshaft.config.settings import Settings
from tests.shared.until import until

from . import run_graphs
from .in_process import Hire, Office

# Seconds. A worker looks at what it holds three times as often; a cancel that waited for that would come much too late.
LEASE = 100.0


@pytest.fixture
def settings(redis_uri: str) -> Settings:
    return Settings(redis_uri=redis_uri, lineshaft_lease_seconds=LEASE)


async def test_a_cancel_that_was_published_to_nobody_is_found_when_the_worker_listens_again(
    office: Office, hire: Hire
) -> None:
    worker = await hire()
    thread = await office.thread()
    for attempt in range(3):
        run = await office.start("held", thread, {"log": [], "gate": str(attempt)})
        await office.entered(f"hold {attempt}")
        await worker.listens()
        began = time.monotonic()
        # In one write, so that nobody can listen again in between.
        killed, _ = await asyncio.gather(
            office.client.command("CLIENT", "KILL", "TYPE", "pubsub"), office.cancel(thread, run)
        )
        assert killed == 1
        assert await office.ended(run) == "interrupted"
        assert time.monotonic() - began < LEASE / 10


async def test_looks_in_quick_succession_do_not_make_a_run_look_lost(office: Office, hire: Hire) -> None:
    """A run whose end Redis knows and whose worker has yet to hear of it is missing from two looks in a row."""
    worker = await hire()
    run = await office.start("held", await office.thread(), {"log": [], "gate": "gate"})
    await office.entered("hold gate")
    execution = worker.runs._executions[run]
    assert await office.finish(run, execution.claim.token) == "ok"
    for _ in range(5):
        await worker.listens()
        assert await office.client.command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    await worker.listens()
    assert execution.reason is None
    run_graphs.GATES["gate"].set()
    await until(lambda: not worker.runs._executions, "it has heard of it")
