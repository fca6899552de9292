"""Random walks through the real scripts, with the invariants of the queue checked after every step.

Two threads, three workers, every strategy, cancels, crashes, hand-backs, state changes, and tokens kept too
long. hypothesis chooses the steps, and shrinks a walk that breaks something to its shortest form.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lineshaft.cancellation import cancel
from lineshaft.errors import Conflict, Fenced, NotFound
from lineshaft.redis import Client
from lineshaft.runs import TERMINAL
from lineshaft.settings import Settings
from lineshaft.threads import ThreadStore

from .runs import Desk

WORKERS = ("w0", "w1", "w2")


class Walk(RuleBasedStateMachine):
    """The model: which runs were made, what each worker believes to hold, and what a run's end was."""

    uri = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = Client(Settings(redis_uri=self.uri))
        self.desk = Desk(self.client)
        self.runs: dict[str, str] = {}  # run -> thread
        self.tokens: list[tuple[str, str]] = []  # all that were ever given out
        self.ended: dict[str, str] = {}
        self.epochs: dict[str, int] = {}
        self.locks = itertools.count()
        self.open_locks: list[tuple[str, str]] = []
        self.do(self.client.command("FLUSHALL"))
        self.threads = [self.do(self.desk.open()) for _ in range(2)]
        for worker in WORKERS:
            self.do(self.desk.lease(worker))

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def attempt(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """A step that the scripts may refuse."""
        try:
            return self.do(coroutine)
        except (Conflict, Fenced, NotFound):
            return None

    @rule(thread=st.integers(0, 1), strategy=st.sampled_from(["enqueue", "reject", "interrupt", "rollback"]))
    def create(self, thread: int, strategy: str) -> None:
        run = self.attempt(self.desk.create(self.threads[thread], multitask_strategy=strategy))
        if run:
            self.runs[run] = self.threads[thread]

    @rule(worker=st.sampled_from(WORKERS), room=st.integers(1, 3))
    def claim(self, worker: str, room: int) -> None:
        self.tokens += self.do(self.desk.claim(room, worker=worker, request=f"r{len(self.tokens)}{worker}"))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), status=st.sampled_from(["success", "error"]))
    def finish(self, data: st.DataObject, status: str) -> None:
        """By whoever once had a token; what it says of a cancel that it did not know, it does, and says again."""
        run, token = data.draw(st.sampled_from(self.tokens))
        answer = self.attempt(self.desk.finish(run, token, status))
        if answer in {"interrupt", "rollback"}:
            self.attempt(self.desk.finish(run, token, "interrupted", handled=answer))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        run, token = data.draw(st.sampled_from(self.tokens))
        self.attempt(
            self.client.script(
                "checkpoint_put", run_id=run, token=token, owner=run, thread_id=self.runs[run], ns="",
                checkpoint_id=f"c{len(self.tokens)}", header=b"h", anatomy_text="\1\1", values=[],
            )
        )  # fmt: skip

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        run, token = data.draw(st.sampled_from(self.tokens))
        self.attempt(self.client.script("run_hand_back", run_id=run, token=token, delay=0))

    @rule(worker=st.sampled_from(WORKERS), crashed=st.booleans())
    def leave(self, worker: str, crashed: bool) -> None:
        self.do(self.client.script("worker_release", worker=worker, crashed=crashed, max_crashes=3))
        self.do(self.desk.lease(worker))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), action=st.sampled_from(["interrupt", "rollback"]))
    def cancel(self, data: st.DataObject, action: Any) -> None:
        run = data.draw(st.sampled_from(sorted(self.runs)))
        self.attempt(cancel(self.client, self.runs[run], run, action, "walk"))

    @rule(thread=st.integers(0, 1), worker=st.sampled_from(WORKERS))
    def lock(self, thread: int, worker: str) -> None:
        lock = f"q{next(self.locks)}"
        self.do(self.client.command("SET", self.client.keys.query(lock), "?", "EX", 60))
        token = self.attempt(
            self.client.script("state_lock", lock_id=lock, thread_id=self.threads[thread], worker=worker, query_id=lock)
        )
        if token:
            self.open_locks.append((lock, token.decode()))

    @precondition(lambda self: self.open_locks)
    @rule(data=st.data(), gives_up=st.booleans())
    def unlock(self, data: st.DataObject, gives_up: bool) -> None:
        lock, token = data.draw(st.sampled_from(self.open_locks))
        if gives_up:
            self.do(self.client.script("query_give_up", query_id=lock))
            return
        self.attempt(
            self.client.script(
                "state_unlock", lock_id=lock, token=token, rev=1, thread_status="idle", state=b"{}", interrupts=b"{}",
                forget="",
            )
        )  # fmt: skip

    @invariant()
    def nothing_is_lost_or_twice(self) -> None:
        keys = self.client.keys
        ask = self.client.command
        queue = {run.decode() for run in self.do(ask("ZRANGE", keys.queue("runs"), 0, -1))}
        held = {
            run.decode(): worker for worker in WORKERS for run in self.do(ask("SMEMBERS", keys.worker_runs(worker)))
        }
        placed: dict[str, str] = {}
        for thread in self.threads:
            active, queued, shown = self.do(ask("HMGET", keys.thread(thread), "active", "queued", "shown"))
            waiting = [run.decode() for run in self.do(ask("ZRANGE", keys.thread_waiting(thread), 0, -1))]
            # One run of a thread is in the queue at most: the active one, or the first that waits.
            mine = {run for run in queue if self.runs[run] == thread}
            if active:
                holder = active.decode()
                assert queued is None
                assert holder in held
                assert mine == ({holder} if holder in self.runs else set())
                placed[holder] = "active"
            else:
                assert mine == set(waiting[:1])
                assert (queued.decode() if queued else None) == (waiting[0] if waiting else None)
            placed |= dict.fromkeys(waiting, "waiting")
            assert (shown == b"busy") == bool(active or waiting)
        for run, thread in self.runs.items():
            fields = self.do(ask("HMGET", keys.run(run), "status", "token", "worker", "epoch", "cancel"))
            status, token, worker = [value.decode() if value else "" for value in fields[:3]]
            ends = [data for event, data in self.do(self.desk.log(thread, run)) if event == "end"]
            if not status or status in TERMINAL:
                # It has ended once, and is in no place any more.
                assert len(ends) == 1
                assert self.ended.setdefault(run, status) == status
                assert run not in placed
                assert run not in held
                assert not self.do(ask("EXISTS", keys.job(run), keys.in_progress(run)))
                continue
            assert run not in self.ended
            assert ends == []
            assert self.do(ask("EXISTS", keys.job(run)))
            assert placed[run] == ("active" if status == "running" else "waiting")
            assert (held.get(run) or "") == worker
            assert bool(token) == bool(worker) == (status == "running")
            epoch = int(fields[3])
            assert epoch >= self.epochs.get(run, 0)
            self.epochs[run] = epoch

    def teardown(self) -> None:
        self.do(self.client.close())
        self.loop.close()


def test_no_walk_breaks_the_queue(redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walk, "uri", redis_uri)
    machine: Any = Walk.TestCase
    machine.settings = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
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
