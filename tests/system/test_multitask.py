"""Runs that meet on one thread, with real workers: who goes first, who gives way, and that nothing is done twice."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any, Literal

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, RateLimitError
from langgraph_sdk.schema import MultitaskStrategy

from tests.system.fleet import KEYS, Fleet
from tests.system.journal import Journal, until

pytestmark = pytest.mark.xdist_group("faults")

Superseding = Literal["interrupt", "rollback"]
BOTH: tuple[Superseding, ...] = ("interrupt", "rollback")
LIMIT = 100  # runs that may wait on one thread


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


@pytest.fixture(autouse=True)
async def ready(fleet: Fleet) -> None:
    await fleet.ready()


async def status(sdk: LangGraphClient, thread_id: str, run_id: str) -> str:
    """What the API says of a run; `gone` if it does not know it."""
    try:
        return str((await sdk.runs.get(thread_id, run_id))["status"])
    except NotFoundError:
        return "gone"


async def done(sdk: LangGraphClient, thread_id: str) -> Any:
    state: Any = await sdk.threads.get_state(thread_id)
    return state["values"]["done"]


@pytest.mark.parametrize("strategy", BOTH)
async def test_a_new_run_takes_the_place_of_one_that_runs_and_of_those_that_wait(
    sdk: LangGraphClient, journal: Journal, thread_id: str, strategy: Superseding
) -> None:
    """Also of one that is due much later."""
    old = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=3, gated=False), durability="sync")
    await journal.wait_for("began", 3)
    waiting = [
        await sdk.runs.create(thread_id, "mark", input=journal.input(name="never"), after_seconds=seconds)
        for seconds in (0, 3600)
    ]
    new = await sdk.runs.create(thread_id, "mark", input=journal.input(name="new"), multitask_strategy=strategy)
    given_up = "interrupted" if strategy == "interrupt" else "gone"
    for run in (old, *waiting):  # at once, though the first may still be stopping
        assert await status(sdk, thread_id, run["run_id"]) == given_up
    await sdk.runs.join(thread_id, new["run_id"])
    assert await status(sdk, thread_id, new["run_id"]) == "success"
    assert await done(sdk, thread_id) == ([0, 1, 2, 0] if strategy == "interrupt" else [0])
    assert [line.name for line in journal.lines("began") if line.name] == ["new"]
    # It began when the old one had really stopped.
    assert journal.lines("cancelled", 3)[0].at <= next(line for line in journal.lines("began") if line.name).at
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


@pytest.mark.parametrize("strategy", BOTH)
async def test_a_new_run_that_meets_one_at_its_end_leaves_nothing_half_done(
    fleet: Fleet, sdk: LangGraphClient, journal: Journal, strategy: Superseding
) -> None:
    """Whoever is first, the old run has ended once, in one way, and the thread holds what that says."""
    seen = set()
    chance = random.Random(7)
    for number in range(25):
        thread_id = str((await sdk.threads.create())["thread_id"])
        old = await sdk.runs.create(thread_id, "mark", input=journal.input(name=f"old {number}"))
        await asyncio.sleep(chance.uniform(0, 0.02))  # a run of one step takes about half of that
        new = await sdk.runs.create(thread_id, "mark", input=journal.input(), multitask_strategy=strategy)
        await sdk.runs.join(thread_id, new["run_id"])
        assert await status(sdk, thread_id, new["run_id"]) == "success"
        ended = await status(sdk, thread_id, old["run_id"])
        seen.add(ended)
        values = await done(sdk, thread_id)
        if ended == "interrupted":
            assert values in ([0], [0, 0])  # it may have got that far
        else:
            assert values == ([0, 0] if ended == "success" else [0])
        thread: Any = await sdk.threads.get(thread_id)
        assert (thread["status"], thread["values"]["done"]) == ("idle", values)
        assert not fleet.redis.hexists(KEYS.thread(thread_id), "active")
        assert fleet.redis.zcard(KEYS.thread_waiting(thread_id)) == 0
    assert "success" in seen and len(seen) > 1  # both sides of the end were met


async def test_a_busy_thread_rejects_or_enqueues_up_to_a_limit(
    sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    held = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=0))
    await journal.wait_for("began", 0)
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread_id, "mark", input=journal.input(), multitask_strategy="reject")
    names = [str(number) for number in range(LIMIT)]
    last = held
    for name in names:
        last = await sdk.runs.create(thread_id, "mark", input=journal.input(name=name))
    with pytest.raises(RateLimitError):
        await sdk.runs.create(thread_id, "mark", input=journal.input(name="too many"))
    journal.open_gate()
    await sdk.runs.join(thread_id, last["run_id"])
    assert [line.name for line in journal.lines("began") if line.name] == names
    assert await done(sdk, thread_id) == [*range(10), *[0] * LIMIT]
    again = await sdk.runs.create(thread_id, "mark", input=journal.input(), multitask_strategy="reject")
    await sdk.runs.join(thread_id, again["run_id"])


@pytest.mark.parametrize("strategy", ["reject", "enqueue", *BOTH])
async def test_two_answers_to_one_question_pass_the_gate_once(
    sdk: LangGraphClient, tmp_path: Path, strategy: MultitaskStrategy
) -> None:
    """Two people press the button, at the same time or nearly. What is behind the gate has effects outside."""
    chance = random.Random(7)
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        journal = Journal(folder)
        thread_id = str((await sdk.threads.create())["thread_id"])
        await sdk.runs.wait(thread_id, "gate", input=journal.input())
        assert (await sdk.threads.get(thread_id))["status"] == "interrupted"
        delay = chance.uniform(0, 0.02) if number % 2 else 0  # seconds; the resumed run takes about half of that
        await asyncio.gather(press(sdk, thread_id, strategy, 0), press(sdk, thread_id, strategy, delay))

        async def at_rest(thread_id: str = thread_id) -> bool:
            return (await sdk.threads.get(thread_id))["status"] != "busy"

        await until(at_rest, "both have ended")
        passed = len(journal.lines("ended", 1))
        # Rolled back after it had passed, the first has asked its question again, and got the second answer.
        assert passed == 1 or (strategy == "rollback" and passed == 2)
        assert await done(sdk, thread_id) == [0, 1]
        assert (await sdk.threads.get(thread_id))["status"] == "idle"
        assert "error" not in {run["status"] for run in await sdk.runs.list(thread_id)}


async def press(sdk: LangGraphClient, thread_id: str, strategy: MultitaskStrategy, delay: float) -> None:
    await asyncio.sleep(delay)
    with contextlib.suppress(ConflictError):
        yes: Any = {"resume": "yes"}
        await sdk.runs.create(thread_id, "gate", command=yes, multitask_strategy=strategy, durability="sync")
