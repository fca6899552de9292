"""A worker that stops: its runs go on elsewhere, where they were."""

import asyncio
import time
from typing import Any

import pytest

from lineshaft_worker import execution
from lineshaft_worker import worker as module
from lineshaft_worker.claim import claim
from tests.shared.until import until

from . import run_graphs
from .in_process import QUICK, Hire, Office


# stopping
async def test_a_stopping_worker_hands_back_at_the_next_step(office: Office, hire: Hire) -> None:
    worker = await hire(grace=60)
    thread = await office.thread()
    run = await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    worker.runs.stop()
    run_graphs.GATES["gate"].set()
    await worker.stopped()
    assert await office.status(run) == "pending"
    assert run_graphs.ENTERED == ["a", "hold gate"]
    assert (await office.shown(thread))["status"] == "busy"
    began = time.monotonic()
    await hire()
    assert await office.ended(run) == "success"
    assert time.monotonic() - began < QUICK
    assert run_graphs.ENTERED == ["a", "hold gate", "z"]
    assert await office.values(thread) == {"log": ["a", "hold", "z"]}
    assert await office.attempts(thread) == [1, 1]  # a deploy is no failure
    assert await office.field(run, "crashes") is None


async def test_what_does_not_stop_is_handed_back_by_force(office: Office, hire: Hire) -> None:
    worker, thread = await hire(grace=0.1), await office.thread()
    run = await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    await hire()
    began = time.monotonic()
    await worker.stop()
    await office.entered("hold gate", times=2)
    assert time.monotonic() - began < QUICK
    assert "cancelled gate" in run_graphs.ENTERED
    run_graphs.GATES["gate"].set()
    assert await office.ended(run) == "success"
    assert run_graphs.ENTERED.count("a") == 1
    assert await office.attempts(thread) == [1, 1]


async def test_a_factory_that_hangs_does_not_hold_a_stop_up(office: Office, hire: Hire) -> None:
    worker, thread = await hire(grace=0.1), await office.thread()
    run = await office.start("slow", thread, {"log": []})
    await office.entered("opening")
    await worker.stop()
    assert await office.status(run) == "pending"
    run_graphs.GATES["open"].set()
    await hire()
    assert await office.ended(run) == "success"


async def test_a_claim_that_is_answered_while_it_stops_is_handed_back(
    office: Office, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slow_claim(*args: Any) -> Any:
        answer = await claim(*args)
        if answer[-1]:
            gate.set()
            await until(worker.runs._draining.is_set, "it stops")
        return answer

    worker = await hire(grace=60)
    monkeypatch.setattr(module, "claim", slow_claim)
    run = await office.start("held", await office.thread(), {"log": []})
    await gate.wait()
    await worker.stop()
    assert await office.status(run) == "pending"
    assert run_graphs.ENTERED == []
    monkeypatch.undo()
    run_graphs.GATES["gate"].set()
    await hire()
    assert await office.ended(run) == "success"


async def test_too_many_runs_that_ignore_their_cancel_replace_the_worker(
    office: Office, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_CANCEL_AGAIN", 0.05)
    worker = await hire()
    for n in range(3):
        thread = await office.thread()
        run = await office.start("ignoring", thread, {"log": [], "swallow": 9})
        await office.entered("deaf", times=n + 1)
        await office.cancel(thread, run)
        assert await office.ended(run) == "interrupted"
    await worker.stopped()
    assert worker.runs.replace
    run_graphs.GATES["gate"].set()


async def test_a_background_task_that_ends_ends_the_worker(hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Any) -> None:
        raise RuntimeError("no more news")

    monkeypatch.setattr(module.RunWorker, "_hear_cancels", fail)
    worker = await hire()
    with pytest.raises(RuntimeError, match="no more news"):
        await worker.stopped()
