"""The figures of a run of the driver."""

import statistics
from collections import Counter

from tests.chaos.cell import Cell
from tests.chaos.history import History
from tests.chaos.ledger import Fault


def table(history: History, cell: Cell, *, seconds: float, settled: float) -> str:
    """What happened, a line each."""
    book, records = history.book, history.records.values()
    executions = sum(len(history.claims(run_id)) for run_id in history.by_run)
    handed_back = sum(max(0, len(history.claims(r.run_id)) - r.attempt) for r in records if r.attempt)
    statuses = Counter(run.status or "of a deleted thread" for run in book.runs.values())
    recoveries = recovery_times(history)
    streams = book.streams
    rows: list[tuple[str, object]] = [
        ("seconds", f"{seconds:.0f}"),
        ("runs acknowledged", f"{len(book.runs)} on {len(book.threads)} threads, {len(book.deleted)} of them deleted"),
        ("  how they ended", _listed(statuses)),
        ("  answer lost", book.lost),
        ("  rejected", book.rejected),
        ("executions", f"{executions} of {len(history.by_run)} runs"),
        ("  handed back", handed_back),
        ("  crashes counted", sum(record.crashes for record in records)),
        ("  dead letters", sum('"WorkerCrashed"' in record.error for record in records)),
        ("steps begun", sum(line.what == "began" for line in history.lines)),
        ("cancels, resumes", f"{book.cancels}, {book.resumes}"),
        ("state updates", sum(map(len, book.written.values()))),
        ("streams", f"{len(streams)}, {sum(stream.reconnects for stream in streams)} reconnects"),
        ("waits and joins", book.waits),
        ("faults", len(history.ledger.faults)),
        *((f"  {kind}", count) for kind, count in history.ledger.count().items()),
        ("lost to another worker", f"{cell.said('a run was lost to another worker')} (logged)"),
        ("recovery after a kill", _spread(recoveries)),
        ("settled after", f"{settled:.1f} s"),
    ]
    return "".join(f"{name:24} {value}\n" for name, value in rows)


def recovery_times(history: History) -> list[float]:
    """From a worker's kill to the next step of each run that it had in a step."""
    kills = [fault for fault in history.ledger.faults if fault.family == "kill"]
    return [seconds for kill in kills for seconds in _after(kill, history)]


def _after(kill: Fault, history: History) -> list[float]:
    found = []
    for lines in history.lines_of_run.values():
        before = [line for line in lines if line.at < kill.began]
        later = [line for line in lines if line.at > kill.began and line.what == "began"]
        if before and later and before[-1].pid in kill.pids and later[0].pid not in kill.pids:
            found.append(later[0].at - kill.began)
    return found


def _spread(values: list[float]) -> str:
    if not values:
        return "none was seen"
    return f"median {statistics.median(values):.2f} s, max {max(values):.2f} s, of {len(values)} runs"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
