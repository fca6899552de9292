"""What must hold of every run and thread, as far as clients and Redis can tell. Each check returns what is broken."""

from collections.abc import Iterator
from itertools import pairwise

from lineshaft.events.log import END
from lineshaft.runs.record import TERMINAL
from tests.chaos.book import Asked
from tests.chaos.history import History
from tests.chaos.ledger import OF_WORKERS

TICK = 0.005  # seconds: ids of events rise in ms, and a clock may be corrected a little


def every_run_ends_once(history: History) -> Iterator[str]:
    for run in history.kept_runs:
        ends = history.ends(run.run_id)
        if len(ends) != 1:
            yield f"run {run.run_id} of thread {run.thread_id} has {len(ends)} ends, its status is {run.status}"
            continue
        end = ends[0].data
        if run.status == "gone":
            if not _may_be_gone(history, run):
                yield f"run {run.run_id} of thread {run.thread_id} is gone, and nobody rolled it back"
        elif run.status not in TERMINAL:
            yield f"run {run.run_id} of thread {run.thread_id} is still {run.status}"
        elif run.status != end and not (run.status == "interrupted" and end == "error"):
            # A run that is being cancelled reads interrupted from then on, also if its workers go on dying.
            yield f"run {run.run_id} reads {run.status} and ended as {end}"


def _may_be_gone(history: History, run: Asked) -> bool:
    later = (r.strategy == "rollback" and r.enqueued >= run.before for r in history.of_thread.get(run.thread_id, ()))
    asked = (
        other.strategy == "rollback" and other.thread_id == run.thread_id and other.acknowledged >= run.before
        for other in history.book.runs.values()
        if other is not run
    )  # fmt: skip
    return run.temporary or "rollback" in run.tried or any(later) or any(asked)


def no_run_is_left_over(history: History) -> Iterator[str]:
    """Also those whose acknowledgement was lost."""
    for record in history.records.values():
        if record.status not in TERMINAL:
            yield f"run {record.run_id} of thread {record.thread_id} is still {record.status}"


def runs_end_as_they_should(history: History) -> Iterator[str]:
    for run in history.kept_runs:
        record = history.records.get(run.run_id)
        if run.status == "success":
            ended = {line.step for line in history.lines_of_run[run.run_id] if line.what == "ended"}
            if run.fails:
                yield f"run {run.run_id} is a success and should have failed"
            if run.steps is not None and not ended >= set(run.steps):
                yield f"run {run.run_id} is a success, but of its steps {run.steps} only {sorted(ended)} ended"
        elif run.status == "error" and record and not run.fails and record.crashes < 3:
            yield f"run {run.run_id} is an error: {record.error}"
        elif run.status == "timeout":
            yield f"run {run.run_id} timed out"
        if run.cancelled and run.status not in ("interrupted", "gone"):
            yield f"the cancel of run {run.run_id} was acknowledged, and it ended as {run.status}"


def one_active_run_a_thread(history: History) -> Iterator[str]:
    for thread_id, log in history.kept_logs.items():
        active = ""
        for event in log:
            if event.name == "metadata":
                if active not in ("", event.run):
                    yield f"thread {thread_id}: run {event.run} was claimed while {active} was active"
                active = event.run
            elif event.name == END and event.run == active:
                active = ""


def runs_take_their_turns(history: History) -> Iterator[str]:
    """No run is claimed while one that was due before it waits."""
    for thread_id, log in history.kept_logs.items():
        ended: set[str] = set()
        for event in log:
            if event.name == END:
                ended.add(event.run)
            elif event.name == "metadata" and (claimed := history.records.get(event.run)):
                for other in history.of_thread[thread_id]:
                    waits = other.run_id not in ended and other.enqueued < event.at - TICK
                    if waits and other.due < claimed.due - TICK:
                        yield f"thread {thread_id}: run {event.run} was claimed before {other.run_id}, due earlier"


def strategies_are_kept(history: History) -> Iterator[str]:
    for thread_id, records in history.of_thread.items():
        if thread_id in history.book.deleted:
            continue
        for new in records:
            for old in records:
                if old.enqueued > new.enqueued - TICK or not (ends := history.ends(old.run_id)):
                    continue
                if ends[0].at < new.enqueued + TICK:
                    continue
                if new.strategy == "reject":
                    yield f"thread {thread_id}: run {new.run_id} should have been rejected, {old.run_id} was there"
                elif new.strategy in ("interrupt", "rollback") and old.status != "interrupted" and not old.cancel:
                    yield f"thread {thread_id}: run {old.run_id} outlived the {new.strategy} by {new.run_id}"


def executions_have_causes(history: History) -> Iterator[str]:
    """Executions <= runs + crashes + hand-backs, run by run; and each beyond the first follows a fault of a worker."""
    for run_id in history.by_run:
        claims = history.claims(run_id)
        record = history.records.get(run_id)
        if record and record.attempt > record.crashes + 1:
            yield f"run {run_id} has {record.attempt} attempts, and {record.crashes} crashes account for them"
        if record and len(claims) > record.attempt and not _any(history, ("drain",), claims[0].at, claims[-1].at):
            yield f"run {run_id} was handed back, and no worker was drained"
        for first, second in pairwise(claims):
            pids = _executed(history, run_id, first.at, second.at)
            if pids and not any(history.ledger.struck(pid, OF_WORKERS, first.at, second.at) for pid in pids):
                yield f"run {run_id} was executed again at {second.ident}, and its workers {pids} were left in peace"
            # Without a step: its worker may never have heard that it has the run, and gave it back.
            unheard = history.ledger.happened(("redis", "connections"), second.at)
            if not pids and not unheard and not _any(history, OF_WORKERS, first.at, second.at):
                yield f"run {run_id} was executed again at {second.ident}, and no worker had a fault"


def _executed(history: History, run_id: str, since: float, until: float) -> set[int]:
    """The processes in which a run began to make steps after a claim; none, if there was no time for that."""
    before = {line.pid for line in history.lines_of_run[run_id] if line.at < since}
    return {line.pid for line in history.lines_of_run[run_id] if since <= line.at < until} - before


def _any(history: History, families: tuple[str, ...], since: float, until: float) -> bool:
    pids = {pid for fault in history.ledger.faults for pid in fault.pids}
    return any(history.ledger.struck(pid, families, since, until) for pid in pids)


def states_are_what_was_done(history: History) -> Iterator[str]:
    """A thread's state has each step of its runs once and in order, all of those that succeeded, none rolled back."""
    for thread_id, trail in history.trails.items():
        if len(trail) != len(set(trail)):
            yield f"thread {thread_id} has steps twice in its state: {trail}"
        if missing := history.book.written.get(thread_id, set()) - set(trail):
            yield f"thread {thread_id} has lost written values: {missing}"
        if wrong := history.book.refused.get(thread_id, set()) & set(trail):
            yield f"thread {thread_id} has values whose writing was refused: {wrong}"
        steps: dict[str, list[int]] = {}
        for mark in trail:
            run_id, _, step = mark.partition("/")
            if run_id != "note":
                steps.setdefault(run_id, []).append(int(step))
        for run_id, done in steps.items():
            if done != list(range(done[0], done[0] + len(done))):
                yield f"thread {thread_id}: the steps of run {run_id} in its state are {done}"
        for run in history.book.runs.values():
            if run.thread_id != thread_id:
                continue
            done = steps.get(run.run_id, [])
            if run.status == "gone" and done:
                yield f"thread {thread_id}: run {run.run_id} was rolled back, its steps {done} are in the state"
            if run.status == "success" and run.steps is not None and tuple(done) != run.steps:
                yield f"thread {thread_id}: run {run.run_id} made {run.steps}, the state has {done}"


def answers_count_once(history: History) -> Iterator[str]:
    for thread_id, given in history.book.answers.items():
        heard = {line.answer for line in history.lines if line.thread == thread_id and line.answer}
        if len(heard) > 1 or not heard <= given:
            yield f"thread {thread_id}: one question, the answers {heard} of {given}"


def messages_are_kept_once(history: History) -> Iterator[str]:
    for thread_id, acknowledged in history.book.messages.items():
        shown = history.messages.get(thread_id, [])
        if len(shown) != len(set(shown)) or not acknowledged <= set(shown):
            yield f"thread {thread_id} shows the messages {shown}, acknowledged were {sorted(acknowledged)}"


def streams_end_whole(history: History) -> Iterator[str]:
    for stream in history.book.streams:
        of = f"the stream of run {stream.run_id} of thread {stream.thread_id}"
        if not stream.ended:
            yield f"{of} did not end"
            continue
        if any(not history.ledger.happened(("gateway drained",), at) for at in stream.early):
            yield f"{of} ended before its run, and no gateway was stopping"
        if any(second <= first for first, second in pairwise(stream.ids)):
            yield f"{of} is out of order: {stream.ids}"
        if stream.resumable and stream.whole and stream.thread_id not in history.book.deleted:
            logged = [event.ident for event in history.by_run[stream.run_id] if event.name != END]
            if stream.ids != logged:
                missed, made_up = sorted(set(logged) - set(stream.ids)), sorted(set(stream.ids) - set(logged))
                yield f"{of} is not what was logged: missed {missed}, made up {made_up}"
    yield from history.book.stuck
