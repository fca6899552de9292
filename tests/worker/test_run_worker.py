"""The claim loop of a worker: what it takes, when, and what it gives back."""

import asyncio
import time
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.errors import Fenced
from lineshaft.redis.client import Client
from lineshaft_worker.graphs import Graphs
from tests.shared.until import until

from . import run_graphs
from .in_process import QUICK, Hire, InProcessWorker, Office


async def waits(worker: InProcessWorker) -> None:
    """Until a worker keeps a pop outstanding."""
    client = worker.runs._client

    async def blocked() -> bool:
        return int((await client.redis.info("clients"))["blocked_clients"]) > 0

    await until(blocked, "a worker waits for a token")


# picking up
async def test_an_idle_worker_picks_a_run_up_at_once(office: Office, hire: Hire) -> None:
    worker = await hire()
    await waits(worker)
    for _ in range(5):
        thread = await office.thread()
        began = time.monotonic()
        assert await office.run("linear", thread, {"log": []}) == "success"
        assert time.monotonic() - began < QUICK


async def test_an_idle_worker_costs_next_to_nothing(redis_uri: str, served: Graphs) -> None:
    client = Client(Settings(redis_uri=redis_uri, lineshaft_lease_seconds=10.0))
    await client.redis.flushall()
    worker = InProcessWorker(client, served)
    await worker.start()
    await waits(worker)
    commands: list[str] = []
    with pytest.raises(TimeoutError):  # noqa: PT012 - the time is what is measured
        async with asyncio.timeout(4), client.redis.monitor() as monitor:
            async for command in monitor.listen():
                commands += [command["command"]] * (command["client_type"] != "lua")
    await worker.close()
    await client.close()
    assert len(commands) / 4 < 3, commands


async def test_all_that_waits_is_picked_up_as_there_is_room(office: Office, hire: Hire) -> None:
    threads = [await office.thread() for _ in range(7)]
    runs = [await office.start("held", thread, {"log": [], "gate": f"{n}"}) for n, thread in enumerate(threads)]
    worker = await hire(jobs=2)

    def holding() -> list[str]:
        return [entered.removeprefix("hold ") for entered in run_graphs.ENTERED if entered.startswith("hold ")]

    async def picked_up(count: int) -> None:
        await until(lambda: len(holding()) >= count, f"{count} were picked up")

    for n in range(7):
        await picked_up(n + 1)  # in any order: runs of different threads that were made in one millisecond have none
        assert len(worker.runs.tasks) <= 2
        run_graphs.GATES[holding()[n]].set()
    assert sorted(holding()) == [f"{n}" for n in range(7)]
    assert {await office.ended(run) for run in runs} == {"success"}


async def test_runs_of_a_thread_execute_in_their_order_and_one_at_a_time(office: Office, hire: Hire) -> None:
    await hire()
    await hire()
    thread = await office.thread()
    runs = [await office.start("held", thread, {"log": [str(n)], "gate": f"{n}"}) for n in range(4)]
    for n in range(4):
        await office.entered(f"hold {n}")
        assert [await office.status(run) for run in runs] == [*["success"] * n, "running", *["pending"] * (3 - n)]
        assert (await office.shown(thread))["status"] == "busy"
        run_graphs.GATES[f"{n}"].set()
        assert await office.ended(runs[n]) == "success"
    assert (await office.values(thread))["log"] == [x for n in range(4) for x in (str(n), "a", "hold", "z")]
    assert (await office.shown(thread))["status"] == "idle"


async def test_a_failed_run_does_not_hold_up_the_next(office: Office, hire: Hire) -> None:
    await hire(jobs=1)
    thread = await office.thread()
    runs = [await office.start(graph, thread, {"log": []}) for graph in ("failing", "broken", "linear")]
    assert [await office.ended(run) for run in runs] == ["error", "error", "success"]


# tokens
async def test_a_full_worker_passes_its_token_on(office: Office, hire: Hire) -> None:
    full = await hire(jobs=1)
    await office.start("held", await office.thread(), {"log": []})
    await office.entered("hold gate")
    await waits(full)  # it has asked for a token before it was full
    other = await hire(jobs=4)
    for _ in range(3):
        began = time.monotonic()
        assert await office.run("linear", await office.thread(), {"log": []}) == "success"
        assert time.monotonic() - began < QUICK
    assert other.runs.jobs_complete == 3
    run_graphs.GATES["gate"].set()


async def test_a_token_that_came_with_the_last_room_is_passed_on(client: Client, hire: Hire) -> None:
    worker = await hire()
    await worker.stop()
    await client.command("DEL", client.keys.wake("runs"))
    worker.runs._draining.clear()
    worker.runs._shares._slots = 0
    worker.runs._wakers[1]._token = "runs"
    claiming = asyncio.create_task(worker.runs._claim_runs([]))

    async def passed() -> bool:
        return int(await client.command("LLEN", client.keys.wake("runs"))) == 1

    await until(passed, "the token is back")
    claiming.cancel()


async def test_a_draining_worker_passes_its_token_on(office: Office, hire: Hire) -> None:
    draining = await hire()
    await office.start("held", await office.thread(), {"log": []})
    await office.entered("hold gate")
    await hire()
    draining.runs.stop()
    began = time.monotonic()
    assert await office.run("linear", await office.thread(), {"log": []}) == "success"
    assert time.monotonic() - began < QUICK
    run_graphs.GATES["gate"].set()
    await draining.stopped()


# holdings
async def test_a_run_whose_claim_got_lost_is_returned(office: Office, hire: Hire) -> None:
    worker = await hire(jobs=1)
    await office.start("held", await office.thread(), {"log": []})
    await office.entered("hold gate")
    thread = await office.thread()
    stray = await office.start("linear", thread, {"log": []})
    ((claimed, _),) = await office.claim(worker=worker.id)
    assert claimed == stray
    await office.given_back(stray)
    run_graphs.GATES["gate"].set()
    assert await office.ended(stray) == "success"
    assert await office.attempts(thread) == [1, 2]


async def test_a_lost_run_is_stopped_and_told_of_by_nobody(office: Office, hire: Hire, client: Client) -> None:
    worker = await hire()
    thread = await office.thread()
    run = await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    await worker.leave(crashed=True)
    await office.entered("cancelled gate")
    await until(lambda: not worker.runs.tasks, "it is let go")
    assert await office.status(run) == "pending"
    assert not {"error", "end"} & {event for event, _ in await office.log(thread)}
    with pytest.raises(Fenced):
        await client.script(
            "run_claim", worker=worker.id, request="r", lease=1000, max_crashes=3, limits="", shares="",
            rooms=["runs", 1],
        )  # fmt: skip
    run_graphs.GATES["gate"].set()
    await hire()
    assert await office.ended(run) == "success"
    assert await office.attempts(thread) == [1, 2]


async def test_a_cancel_whose_news_got_lost_is_found(office: Office, hire: Hire, client: Client) -> None:
    worker = await hire()
    thread = await office.thread()
    run = await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    await client.command("HSET", client.keys.run(run), "cancel", "interrupt", "cancel_reason", "quietly")
    await client.command("HSET", client.keys.worker(worker.id), "signal", "1")
    assert await office.ended(run) == "interrupted"


async def test_a_run_that_cannot_be_ended_is_tried_again(
    office: Office, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await hire()
    finish, failures = worker.runs._executor._finish, [RuntimeError("a bug of ours")]

    async def failing(*args: Any, **options: Any) -> str:
        if failures:
            raise failures.pop()
        return str(await finish(*args, **options))

    monkeypatch.setattr(worker.runs._executor, "_finish", failing)
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": []}) == "success"
    assert run_graphs.ENTERED == ["a", "b", "c"]


async def test_a_worker_without_a_lease_keeps_no_token(office: Office, hire: Hire, thread: str) -> None:
    """It took the token for a run that it could not claim, and the run waited until another looked by itself."""
    fenced = await hire()
    await waits(fenced)  # the longest of all, so the token goes to it
    await hire()
    await fenced.leave()
    began = time.monotonic()
    assert await office.run("linear", thread, {"log": []}) == "success"
    assert time.monotonic() - began < QUICK
