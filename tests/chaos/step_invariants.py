"""What must hold of the steps' side effects, which no crash takes back. Each check returns what is broken."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.history import History
from tests.chaos.journal import Line
from tests.chaos.ledger import APART, OF_WORKERS

TICK = 0.1  # seconds between a step's line and the end of its run: they are written by two processes


def steps_run_once(history: History) -> Iterator[str]:
    """No step twice, unless its worker was killed, stopped, cut off or drained in it; with `async`, or in the next."""
    for run_id, lines in history.lines_of_run.items():
        begun: dict[int, list[Line]] = defaultdict(list)
        for line in lines:
            if line.what == "began":
                begun[line.step].append(line)
        for step, times in begun.items():
            for first, second in pairwise(times):
                where = f"step {step} of run {run_id} ({first.durability})"
                if _since(history, second) < _since(history, first):
                    # The earlier attempt comes later: it was lost, and does not know it yet.
                    if not _is_lost(history, second):
                        yield f"{where} ran again in {second.pid}, which was left in peace"
                elif not history.ledger.struck(first.pid, OF_WORKERS, first.at, second.at):
                    yield f"{where} ran twice, and its worker {first.pid} was left in peace"
                elif first.durability != "exit" and _was_stored(history, first):
                    yield f"{where} ran twice, and its worker {first.pid} had gone beyond it"


def _attempt(history: History, line: Line) -> list[Line]:
    """All that the same attempt did. Its number is not enough: one that is handed back is not counted."""
    same = (line.pid, line.attempt)
    return [other for other in history.lines_of_run[line.run] if (other.pid, other.attempt) == same]


def _since(history: History, line: Line) -> float:
    return _attempt(history, line)[0].at


def _is_lost(history: History, line: Line) -> bool:
    """Whether this may be an attempt whose worker was away for a while, and does not know that others have the run."""
    return history.ledger.struck(line.pid, ("stop", "cut"), _since(history, line), line.at)


def _was_stored(history: History, first: Line) -> bool:
    """Whether the attempt went so far that the step must have been stored."""
    safe = first.step + (2 if first.durability == "async" else 1)
    later = [
        line
        for line in _attempt(history, first)
        if line.what == "began" and line.at >= first.at and line.step >= safe
    ]  # fmt: skip
    # With `async` steps go on while their worker cannot reach Redis; it was cut off in every one of them.
    apart = later and history.ledger.struck(first.pid, APART, first.at, later[0].at)
    return bool(later) and not (first.durability == "async" and apart)


def steps_do_not_overlap(history: History) -> Iterator[str]:
    """One step at a time in a thread, but for those of an attempt that was lost and does not know it yet."""
    threads: dict[str, list[Line]] = defaultdict(list)
    for line in history.lines:
        if line.thread not in history.book.deleted:
            threads[line.thread].append(line)
    for thread_id, lines in threads.items():
        for place, line in enumerate(lines):
            if line.what != "began" or not (ending := _ending(line, lines[place + 1 :])):
                continue
            for other in lines[place + 1 :]:
                if other.at >= ending.at:
                    break
                overlaps = other.what == "began" and other.pid != line.pid
                if overlaps and not _is_lost(history, other) and not _is_lost(history, ending):
                    yield (
                        f"thread {thread_id}: step {other.step} of run {other.run} began in {other.pid} during "
                        f"step {line.step} of run {line.run} in {line.pid}"
                    )


def _ending(began: Line, later: list[Line]) -> Line | None:
    same = (began.run, began.step, began.pid, began.attempt)
    return next((line for line in later if (line.run, line.step, line.pid, line.attempt) == same), None)


def nothing_runs_after_its_end(history: History) -> Iterator[str]:
    for run_id, lines in history.lines_of_run.items():
        ends = history.ends(run_id)
        for line in lines:
            late = ends and line.what == "began" and line.at > ends[0].at + TICK
            if late and not _is_lost(history, line):
                yield f"step {line.step} of run {run_id} began {line.at - ends[0].at:.3f} s after the run's end"
