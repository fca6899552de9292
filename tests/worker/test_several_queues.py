"""A worker that serves several queues hears of runs in each at once, and asks no more of Redis for it."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from lineshaft.config.executor import ExecutorConfig, Limits, QueueConfig
from lineshaft.queues.control import pause, resume
from lineshaft.redis.client import Client
from tests.shared.until import until

from . import run_graphs
from .in_process import QUICK, Hire, Office

EXECUTOR = ExecutorConfig(
    queues={"batch": QueueConfig(), "interactive": QueueConfig()}, limits=Limits(graphs={"held": 1})
)
QUEUES = {"runs": 1, "batch": 1, "interactive": 3}


@pytest.fixture(autouse=True)
def _executor(client: Client) -> None:
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=EXECUTOR)


def to(queue: str) -> dict[str, Any]:
    return {"config": {"configurable": {"lineshaft_queue": queue}}}


async def test_a_run_of_any_queue_is_picked_up_at_once(office: Office, hire: Hire) -> None:
    await hire(queues=QUEUES)
    for queue in (*QUEUES, *QUEUES):
        thread = await office.thread()
        began = time.monotonic()
        assert await office.run("linear", thread, {"log": []}, **to(queue)) == "success"
        assert time.monotonic() - began < QUICK


async def test_a_worker_leaves_other_queues_alone(client: Client, office: Office, hire: Hire) -> None:
    few = await hire(queues={"interactive": 1})
    run = await office.start("linear", await office.thread(), {"log": []}, **to("batch"))
    assert await office.run("linear", await office.thread(), {"log": []}, **to("interactive")) == "success"
    assert await office.status(run) == "pending"
    assert await client.command("LLEN", client.keys.wake("batch")) == 1, "its token is for somebody who serves it"
    assert few.runs.jobs_complete == 1
    await hire(queues=QUEUES)
    assert await office.ended(run) == "success"


async def test_what_a_pause_or_a_limit_held_up_starts_at_once_when_it_may(
    client: Client, office: Office, hire: Hire
) -> None:
    await hire(queues=QUEUES)
    await pause(client, "batch")
    paused = await office.start("linear", await office.thread(), {"log": []}, **to("batch"))
    threads = [await office.thread() for _ in range(2)]
    held = [await office.start("held", thread, {"log": [], "gate": f"{n}"}) for n, thread in enumerate(threads)]
    await until(lambda: "hold 0" in run_graphs.ENTERED, "the first of the graph runs")

    async def is_parked() -> bool:
        return bool(await client.command("HEXISTS", client.keys.run(held[1]), "parked"))

    await until(is_parked, "the second is parked")
    assert await office.status(paused) == "pending"
    began = time.monotonic()
    await resume(client, "batch")
    assert await office.ended(paused) == "success"
    run_graphs.GATES["0"].set()
    await until(lambda: "hold 1" in run_graphs.ENTERED, "the second has its slot")
    assert time.monotonic() - began < 2 * QUICK
    run_graphs.GATES["1"].set()
    assert [await office.ended(run) for run in held] == ["success", "success"]


async def test_several_queues_cost_an_idle_worker_nothing_more(client: Client, hire: Hire) -> None:
    client.settings = msgspec.structs.replace(client.settings, lineshaft_lease_seconds=10.0)
    await hire(queues={**QUEUES, **{f"q{n}": 1 for n in range(6)}})
    commands: list[str] = []
    with pytest.raises(TimeoutError):  # noqa: PT012 - the time is what is measured
        async with asyncio.timeout(4), client.redis.monitor() as monitor:
            async for command in monitor.listen():
                commands += [command["command"]] * (command["client_type"] != "lua")
    assert len(commands) / 4 < 3, commands
