"""Crons of a fleet whose schedulers are killed."""

import asyncio
import itertools
import random
import time
from functools import partial
from typing import Any

import pytest
from langgraph_sdk import get_client

from tests.system.fleet import KEYS, Fleet, Worker
from tests.system.journal import Journal, until

KILLS = 3


def scheduler(fleet: Fleet) -> Worker:
    """Who fired last: it keeps the timer for the next time."""
    living = [worker for worker in fleet.workers if worker.running]
    return max(living, key=lambda worker: max((e["timestamp"] for e in worker.events("cron fired")), default=""))


async def at_the_next_window(fleet: Fleet, cron_id: str) -> None:
    """Until the cron is due, and up to some milliseconds more: about as long as it takes to fire."""
    due: Any = fleet.redis.zscore(KEYS.crons_due(), cron_id)
    await asyncio.sleep(max(0.0, due / 1000 - time.time()) + random.uniform(0, 0.01))


@pytest.mark.slow  # seconds pass while schedulers are killed
async def test_each_second_fires_once_though_schedulers_are_killed_as_they_fire(journal: Journal) -> None:
    with Fleet() as fleet:
        fleet.gateway()
        for _ in range(3):
            fleet.worker()
        await fleet.ready()
        async with get_client(url=fleet.url) as sdk:
            thread = (await sdk.threads.create())["thread_id"]
            cron: Any = await sdk.crons.create_for_thread(thread, "mark", schedule="* * * * * *", input=journal.input())

            async def fired(count: int) -> bool:
                return len(await sdk.runs.list(thread, limit=1000)) >= count

            for kill in range(KILLS):
                await until(partial(fired, 2 + 3 * kill), "it fires every second")
                await at_the_next_window(fleet, cron["cron_id"])
                scheduler(fleet).kill()
                fleet.worker()
            await until(partial(fired, 5 + 3 * KILLS), "it goes on")
            await sdk.crons.update(cron["cron_id"], enabled=False)
            runs: list[Any] = await sdk.runs.list(thread, limit=1000)

            async def all_done() -> bool:
                return {run["status"] for run in await sdk.runs.list(thread, limit=1000)} == {"success"}

            await until(all_done, "all runs come to their end")
            assert await fired(len(runs))
            assert not await fired(len(runs) + 1)
    windows = sorted(run["kwargs"]["config"]["configurable"]["__request_start_time_ms__"] for run in runs)
    assert [later - earlier for earlier, later in itertools.pairwise(windows)] == [1000] * (len(runs) - 1)


async def test_a_fleet_that_was_away_fires_once_for_all_that_it_missed(journal: Journal) -> None:
    with Fleet() as fleet:
        fleet.gateway()
        first = fleet.worker()
        await fleet.ready()
        async with get_client(url=fleet.url) as sdk:
            thread = (await sdk.threads.create())["thread_id"]
            cron: Any = await sdk.crons.create_for_thread(thread, "mark", schedule="0 0 1 1 *", input=journal.input())
            first.kill()
            fleet.redis.zadd(KEYS.crons_due(), {cron["cron_id"]: 3_600_000 * 1000})
            fleet.worker()

            async def has_run() -> bool:
                return bool(await sdk.runs.list(thread))

            await until(has_run, "it fires when somebody is there again")
            shown: Any = await sdk.crons.search(thread_id=thread)
            assert len(await sdk.runs.list(thread)) == 1
    assert shown[0]["next_run_date"] == cron["next_run_date"]
