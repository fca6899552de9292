"""Random walks through the real scripts and through a model of them: both must answer each step alike, and hold the
same after it.

Four threads, three workers, two queues, every strategy, priorities, tenants, with a limit and without; cancels,
crashes, leases that end, hand-backs, runs that are due later, pauses, state changes, and tokens kept too long.
hypothesis chooses the steps, and shrinks a walk that breaks something to its shortest form.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.threads.thread import ThreadStore

from .queue_model import QueueModel
from .runs import Desk
from .twins import HOUR, Twins

WORKERS = ("w0", "w1", "w2")
THREADS = ("t0", "t1", "t2", "t3")
STRATEGIES = ("enqueue", "reject", "interrupt", "rollback")


class Walk(RuleBasedStateMachine):
    """One walk; every step is compared with the model's."""

    uri = ""
    limit = 0  # of runs at once

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = Client(Settings(redis_uri=self.uri))
        desk = Desk(self.client)
        self.do(self.client.command("FLUSHALL"))
        threads = {name: self.do(desk.open()) for name in THREADS}
        self.twins = Twins(self.client, QueueModel(list(THREADS), list(WORKERS), self.limit), threads)
        for worker in WORKERS:
            self.do(desk.lease(worker, HOUR))
        self.locks: list[str] = []
        self.steps = 0

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def step(self, *step: Any) -> Any:
        self.steps += 1
        answer = self.do(self.twins.step(*step))
        self.do(self.twins.compare())
        return answer

    def token(self, data: st.DataObject) -> Any:
        return data.draw(st.sampled_from(sorted(token for token in self.twins.tokens if token[0] not in self.locks)))

    @rule(data=st.data(), thread=st.sampled_from(THREADS), strategy=st.sampled_from(STRATEGIES))
    def create(self, data: st.DataObject, thread: str, strategy: str) -> None:
        self.create_on(thread, strategy, data)

    @rule(data=st.data(), most=st.integers(2, 4))
    def create_some(self, data: st.DataObject, most: int) -> None:
        for thread in THREADS[:most]:
            self.create_on(thread, "enqueue", data)

    def create_on(self, thread: str, strategy: str, data: st.DataObject) -> None:
        choice = {
            "later": data.draw(st.integers(0, 5)) == 5,
            "queue": data.draw(st.sampled_from(["runs", "runs", "runs", "batch"])),
            "priority": data.draw(st.sampled_from([0, 0, 0, 5, -5])),
            "tenant": data.draw(st.sampled_from(["", "", "a"])),
        }
        self.step("create", f"r{len(self.twins.ids)}.{self.steps}", thread, strategy, choice)

    @rule(worker=st.sampled_from(WORKERS), room=st.integers(1, 3))
    def claim(self, worker: str, room: int) -> None:
        self.step("claim", worker, room)

    @precondition(lambda self: any(token[0] not in self.locks for token in self.twins.tokens))
    @rule(data=st.data(), status=st.sampled_from(["success", "error"]))
    def finish(self, data: st.DataObject, status: str) -> None:
        """By whoever once had a token; what it says of a cancel that it did not know, it does, and says again."""
        token = self.token(data)
        answer = self.step("finish", token, status, "")
        if answer in {"interrupt", "rollback"}:
            self.step("finish", token, "interrupted", answer)

    @precondition(lambda self: any(token[0] not in self.locks for token in self.twins.tokens))
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        self.step("write", self.token(data))

    @precondition(lambda self: any(token[0] not in self.locks for token in self.twins.tokens))
    @rule(data=st.data(), put_off=st.booleans())
    def hand_back(self, data: st.DataObject, put_off: bool) -> None:
        self.step("hand_back", self.token(data), put_off)

    @rule(worker=st.sampled_from(WORKERS), crashed=st.booleans())
    def release(self, worker: str, crashed: bool) -> None:
        self.step("release", worker, crashed)

    @rule(worker=st.sampled_from(WORKERS))
    def expire(self, worker: str) -> None:
        self.step("expire", worker)

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        self.step("renew", worker)

    @rule(queue=st.sampled_from(["runs", "batch"]), is_pause=st.booleans())
    def control(self, queue: str, is_pause: bool) -> None:
        self.step("pause" if is_pause else "resume", queue)

    @rule()
    def pass_an_hour(self) -> None:
        self.step("pass_an_hour")

    @precondition(lambda self: self.twins.ids)
    @rule(data=st.data(), action=st.sampled_from(["interrupt", "rollback"]))
    def cancel(self, data: st.DataObject, action: str) -> None:
        self.step("cancel", data.draw(st.sampled_from(sorted(self.twins.ids))), action)

    @rule(thread=st.sampled_from(THREADS), worker=st.sampled_from(WORKERS))
    def lock(self, thread: str, worker: str) -> None:
        name = f"q{self.steps}"
        if self.step("lock", name, thread, worker) is None:
            self.locks.append(name)

    @precondition(lambda self: self.locks)
    @rule(data=st.data(), gives_up=st.booleans())
    def unlock(self, data: st.DataObject, gives_up: bool) -> None:
        name = data.draw(st.sampled_from(self.locks))
        if not gives_up:
            self.step("unlock", name)
            return
        self.do(self.twins.give_up(name))
        self.do(self.twins.compare())

    def teardown(self) -> None:
        self.do(self.client.close())
        self.loop.close()


@pytest.mark.parametrize("limit", [0, 1])
def test_no_walk_breaks_the_queue(redis_uri: str, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Walk, "uri", redis_uri)
    monkeypatch.setattr(Walk, "limit", limit)
    machine: Any = Walk.TestCase
    machine.settings = settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine().runTest()


async def test_threads_of_a_walk_are_as_others(redis_uri: str) -> None:
    """After a walk's worst a thread still works: what the walk's model cannot say."""
    client = Client(Settings(redis_uri=redis_uri))
    await client.command("FLUSHALL")
    desk = Desk(client)
    thread = await desk.open()
    await desk.create(thread)
    ((run, token),) = await desk.claim()
    await cancel(client, thread, run, "rollback", "test")
    await client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=3)
    await desk.lease(desk.worker)
    ((again, token),) = await desk.claim()
    assert again == run
    assert await desk.finish(run, token, "interrupted", handled="rollback") == "ok"
    assert (await ThreadStore(client).get(thread)).status == "idle"
    await desk.leave()
    await client.close()
