"""A cancel that overtakes the answer of its run's claim."""

import asyncio
from typing import Any

from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft_worker.claim import claim
from lineshaft_worker.execution import Execution
from lineshaft_worker.worker import RunWorker
from tests.shared.runs import Desk
from tests.system.journal import until


class Sleeper:
    """An executor whose runs only wait to be stopped."""

    async def run(self, execution: Execution) -> None:
        await execution.run(asyncio.sleep(3600), seconds=3600)


async def test_a_cancel_that_comes_before_its_claims_answer_is_not_forgotten(client: Client) -> None:
    desk = Desk(client)
    thread = await desk.open()
    run = await desk.create(thread, input={})
    executor: Any = Sleeper()
    worker = RunWorker(client, executor, desk.worker, max_jobs=1, grace=0)
    hearing = asyncio.create_task(worker._hear_cancels())
    channel = client.keys.worker_channel(desk.worker)

    async def is_heard() -> bool:
        return bool((await client.command("PUBSUB", "NUMSUB", channel))[1])

    await until(is_heard, "the worker hears")
    _, _, [claimed] = await claim(client, desk.worker, "request", {"runs": 1})
    await cancel(client, thread, run, "interrupt", "test")
    await until(lambda: run in worker._early_cancels, "it has heard of a run that it does not know")
    worker._start(claimed)  # its answer arrives
    await asyncio.wait_for(worker.tasks[run], 5)
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    assert await desk.finish(run, claimed.token) == "interrupt"
    assert await desk.finish(run, claimed.token, handled="interrupt") == "ok"
    await desk.leave()
