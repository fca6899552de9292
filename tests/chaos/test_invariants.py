"""The checks of the chaos driver can fail: each is given a history that is broken as it should notice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lineshaft.redis.client import Client
from tests.chaos.book import Asked, Book, Stream
from tests.chaos.history import Event, History, Record
from tests.chaos.journal import Line
from tests.chaos.keyspace import leaks
from tests.chaos.ledger import Fault, Ledger
from tests.chaos.verdict import broken_invariants
from tests.shared.runs import Desk

PID, OTHER = 100, 200  # of two workers


def line(run: str, step: int, what: str, at: float, **more: Any) -> Line:
    return Line(
        run=run, thread="t", step=step, what=what, at=at,
        **{"pid": PID, "attempt": 1, "durability": "sync", **more},
    )  # fmt: skip


def calm() -> History:
    """Two runs of a thread, two steps each, one after the other; the second is streamed."""
    book = Book(threads={"t"})
    history = History(book, Ledger(), trails={"t": []}, logs={"t": []})
    for run, began in (("a", 10.0), ("b", 20.0)):
        book.ask(Asked(run, "t", began - 9.0, began - 8.9, steps=(0, 1), status="success"))
        history.records[run] = Record(run, "t", "success", due=began - 9.0)
        events = [(began, "metadata", ""), (began + 1, "updates", ""), (began + 3, "end", "success")]
        history.logs["t"] += [Event(f"{at:.0f}-0000", at, run, name, data) for at, name, data in events]
        history.trails["t"] += [f"{run}/0", f"{run}/1"]
        for step in (0, 1):
            history.lines += [line(run, step, "began", began + step), line(run, step, "ended", began + step + 0.5)]
    book.streams.append(Stream("b", "t", resumable=True, ids=["20-0000", "21-0000"], ended=True))
    return history


def again(history: History, *, durability: str, reached: int, fault: str = "kill child") -> None:
    """Step 0 of run b runs once more, in another worker, after its first had begun the step `reached`."""
    lines = [one for one in history.lines if one.run != "b"]
    lines += [line("b", step, "began", 20.0 + step / 10, durability=durability) for step in range(reached + 1)]
    history.lines = [*lines, *(line("b", s, "began", 22 + s / 10, durability=durability, pid=OTHER) for s in (0, 1))]
    history.lines += [line("b", s, "ended", 22.05 + s / 10, durability=durability, pid=OTHER) for s in (0, 1)]
    history.lines.sort(key=lambda one: one.at)
    history.ledger.faults.append(Fault(fault, "worker-0", {PID}, 21.0, 21.1))


def change(history: History, run: str, **fields: Any) -> None:
    history.records[run] = replace(history.records[run], **fields)


def answer(history: History, *, asked: str, heard: str) -> None:
    history.book.answers["t"] = {asked}
    history.lines.append(line("b", 1, "ended", 22.0, answer=heard))


def test_a_calm_history_is_whole() -> None:
    assert broken_invariants(calm()) == []


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_step_may_run_again_after_its_worker_was_killed_in_it(durability: str) -> None:
    history = calm()
    again(history, durability=durability, reached=0)
    assert broken_invariants(history) == []


def test_with_async_a_step_may_run_again_after_its_worker_was_killed_in_the_next() -> None:
    history = calm()
    again(history, durability="async", reached=1)
    assert broken_invariants(history) == []


def test_with_async_steps_go_on_while_their_worker_is_cut_off() -> None:
    history = calm()
    again(history, durability="async", reached=2)
    history.ledger.faults.append(Fault("cut silently long", "worker-0", {PID}, 20.0, 20.9))
    assert broken_invariants(history) == []


def test_an_attempt_that_was_lost_may_not_know_it_yet() -> None:
    history = calm()
    again(history, durability="exit", reached=0, fault="stop parent long")
    history.lines += [line("b", 1, "began", 22.12, durability="exit"), line("b", 1, "ended", 22.2, durability="exit")]
    history.lines.sort(key=lambda one: one.at)
    assert broken_invariants(history) == []
    history.ledger.faults.clear()
    broken = [problem.partition(":")[0] for problem in broken_invariants(history)]
    assert broken.count("steps_run_once") == 2 and "steps_do_not_overlap" in broken


BREAKS: list[tuple[str, Callable[[History], object]]] = [
    ("every_run_ends_once", lambda h: h.logs["t"].append(Event("30-0000", 30.0, "a", "end", "success"))),
    ("every_run_ends_once", lambda h: h.logs["t"].pop()),
    ("every_run_ends_once", lambda h: setattr(h.book.runs["a"], "status", "gone")),
    ("every_run_ends_once", lambda h: setattr(h.book.runs["a"], "status", "running")),
    ("every_run_ends_once", lambda h: setattr(h.book.runs["a"], "status", "interrupted")),
    ("no_run_is_left_over", lambda h: change(h, "a", status="pending")),
    ("runs_end_as_they_should", lambda h: setattr(h.book.runs["a"], "cancelled", True)),
    ("runs_end_as_they_should", lambda h: setattr(h.book.runs["a"], "fails", True)),
    ("runs_end_as_they_should", lambda h: setattr(h.book.runs["a"], "status", "error")),
    ("runs_end_as_they_should", lambda h: setattr(h.book.runs["a"], "steps", (0, 1, 2))),
    ("one_active_run_a_thread", lambda h: h.logs["t"].insert(1, Event("10-0001", 10.0, "b", "metadata"))),
    ("runs_take_their_turns", lambda h: change(h, "b", due=0.5)),
    ("strategies_are_kept", lambda h: change(h, "b", strategy="reject")),
    ("strategies_are_kept", lambda h: change(h, "b", strategy="interrupt", due=11.5)),
    ("executions_have_causes", lambda h: change(h, "a", attempt=2)),
    ("executions_have_causes", lambda h: h.logs["t"].insert(1, Event("10-0001", 10.0, "a", "metadata"))),
    ("states_are_what_was_done", lambda h: h.trails["t"].append("a/0")),
    ("states_are_what_was_done", lambda h: h.trails["t"].remove("a/1")),
    ("states_are_what_was_done", lambda h: h.book.written.update({"t": {"note/1"}})),
    ("states_are_what_was_done", lambda h: h.book.refused.update({"t": {"b/1"}})),
    ("answers_count_once", lambda h: answer(h, asked="x", heard="y")),
    ("streams_end_whole", lambda h: setattr(h.book.streams[0], "ended", False)),
    ("streams_end_whole", lambda h: h.book.streams[0].early.append(22.0)),
    ("messages_are_kept_once", lambda h: h.book.messages.update({"t": {"m"}})),
    ("messages_are_kept_once", lambda h: (h.book.messages.update({"t": {"m"}}), h.messages.update({"t": ["m", "m"]}))),
    ("streams_end_whole", lambda h: h.book.streams[0].ids.pop()),
    ("streams_end_whole", lambda h: h.book.streams[0].ids.append("21-0000")),
    ("streams_end_whole", lambda h: h.book.stuck.append("join of run a")),
    ("steps_run_once", lambda h: again(h, durability="sync", reached=0, fault="gateway killed")),
    ("steps_run_once", lambda h: again(h, durability="exit", reached=0, fault="gateway killed")),
    ("steps_run_once", lambda h: again(h, durability="sync", reached=1)),
    ("steps_run_once", lambda h: again(h, durability="async", reached=2)),
    ("steps_do_not_overlap", lambda h: h.lines.insert(1, line("b", 0, "began", 10.1, pid=OTHER))),
    ("nothing_runs_after_its_end", lambda h: h.lines.append(line("a", 2, "began", 14.0))),
]  # fmt: skip


@pytest.mark.parametrize(("invariant", "spoil"), BREAKS)
def test_a_broken_history_is_noticed(invariant: str, spoil: Callable[[History], object]) -> None:
    history = calm()
    spoil(history)
    assert {problem.partition(":")[0] for problem in broken_invariants(history)} >= {invariant}


def test_a_line_of_the_journal_is_what_the_graphs_write() -> None:
    assert msgspec.json.decode(msgspec.json.encode(line("a", 0, "began", 1.0)), type=Line).step == 0


async def test_what_is_left_over_in_redis_is_found(client: Client) -> None:
    desk = Desk(client)
    thread = await desk.open()
    run = await desk.create(thread)
    assert await leaks(client.redis, set()) != []
    ((_, token),) = await desk.claim()
    found = "\n".join(await leaks(client.redis, set()))
    assert f"ls:thread:{thread}: still has [b'active']" in found and f"ls:run:{run}: still has" in found
    await desk.finish(run, token)
    assert await leaks(client.redis, set()) == []
    assert await leaks(client.redis, {thread}) != []
    await client.command("SADD", client.keys.run_checkpoints("0" * 36), "x")
    assert len(await leaks(client.redis, set())) == 1
    await client.redis.delete(client.keys.run_checkpoints("0" * 36))
    await desk.leave()
