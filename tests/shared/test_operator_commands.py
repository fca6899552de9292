"""`lineshaft queues|runs|workers|dlq|crons`: what they print, and what they do."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
import structlog
from click.testing import CliRunner, Result

from lineshaft.access.audit import read_audit
from lineshaft.cli import main
from lineshaft.config.settings import Settings
from lineshaft.crons.cron import CronStore
from lineshaft.crons.request import CronCreate
from lineshaft.queues import control as queue_control
from lineshaft.redis.client import Client

from .runs import Desk

T = TypeVar("T")


class Bench:
    """A Redis on which things happen, and commands that work on it."""

    def __init__(self, redis_uri: str) -> None:
        self._uri = redis_uri

    def on(self, act: Callable[[Desk], Awaitable[T]]) -> T:
        """Let something happen; whoever has a lease keeps it."""

        async def happen() -> T:
            client = Client(Settings(redis_uri=self._uri))
            try:
                return await act(Desk(client))
            finally:
                await client.close()

        return asyncio.run(happen())

    def __call__(self, *arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(main, [*arguments, "--redis-uri", self._uri])
        assert done.exit_code == code, (done.output, done.stderr, done.exception)
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def lineshaft(redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # A process sets up its log once, for good; in that of the tests others come after us.
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    monkeypatch.setattr("lineshaft.telemetry.log.configure", lambda _: structlog.configure(wrapper_class=quiet))
    bench = Bench(redis_uri)
    bench.on(lambda desk: desk.client.command("FLUSHALL"))
    yield bench
    bench.on(lambda desk: desk.client.command("FLUSHALL"))
    structlog.reset_defaults()


async def failed(desk: Desk) -> str:
    run = await desk.create(await desk.open(), input={"a": 1})
    ((_, token),) = await desk.claim()
    await desk.finish(run, token, "error", error=b'{"error":"KeyError","message":"m"}', error_class="KeyError")
    return run


async def waiting(desk: Desk) -> str:
    return await desk.create(await desk.open())


async def buried(desk: Desk) -> str:
    run = await waiting(desk)
    for n in range(3):
        await desk.lease(f"w{n}")
        await desk.claim(worker=f"w{n}")
        await desk.client.script("worker_release", worker=f"w{n}", crashed=True, max_crashes=3)
    ((_, token),) = await desk.claim()
    await desk.finish(run, token, "error", error=b'{"error":"WorkerCrashed","message":"m"}')
    return run


async def audited(desk: Desk) -> list[tuple[str, str, int]]:
    entries = await read_audit(desk.client, limit=50)
    assert all(entry.who.startswith("cli:") for entry in entries)
    return [(entry.action, entry.target, entry.count) for entry in reversed(entries)]


def test_queues_are_listed_and_stopped(lineshaft: Bench) -> None:
    lineshaft.on(waiting)
    head, row, *_ = (lineshaft("queues", "ls").stdout).splitlines()
    assert head.split()[:4] == ["QUEUE", "STATE", "READY", "DELAYED"] and row.split()[:3] == ["runs", "open", "1"]
    assert lineshaft("queues", "pause", "runs").stdout == "Queue runs is paused.\n"
    assert lineshaft("queues", "pause", "runs").stdout == "Queue runs is paused already.\n"
    assert lineshaft.json("queues", "ls")[0]["state"] == "paused"
    assert lineshaft("queues", "drain", "runs").stdout == "Queue runs is draining.\n"
    assert lineshaft("queues", "resume", "runs").stdout == "Queue runs is open.\n"
    states = lineshaft.on(lambda desk: queue_control.read_states(desk.client))
    assert [state.state for state in states] == ["open"]
    assert "There are: runs" in lineshaft("queues", "pause", "nobody", code=1).stderr
    actions = [action for action, _, _ in lineshaft.on(audited)]
    assert actions == ["pause queue", "pause queue", "drain queue", "resume queue", "pause queue", "pause queue"]


def test_runs_are_found_and_shown(lineshaft: Bench) -> None:
    assert lineshaft("runs", "ls").stdout == "No run matches.\n"
    bad, good = lineshaft.on(failed), lineshaft.on(waiting)
    assert [row["run_id"] for row in lineshaft.json("runs", "ls")] == [good, bad]
    assert lineshaft.json("runs", "ls", "--error-class", "KeyError", "--newer-than", "1h")[0]["run_id"] == bad
    assert lineshaft("runs", "ls", "--status", "error", "--older-than", "2d").stdout == "No run matches.\n"
    shown = lineshaft("runs", "show", bad).stdout
    assert "error (ended)" in shown and "failed" in shown and "KeyError: m" in shown
    assert lineshaft.json("runs", "show", bad)["attempts"][0]["reason"] == "failed"
    assert lineshaft.json("runs", "errors")[0]["error_class"] == "KeyError"
    assert lineshaft("runs", "ls", "--older-than", "soon", code=2).stderr
    assert "must be a UUID" in lineshaft("runs", "show", "x", code=1).stderr


def test_a_bulk_says_what_it_would_do_until_it_is_told_to(lineshaft: Bench) -> None:
    runs = [lineshaft.on(waiting) for _ in range(2)]
    preview = lineshaft("runs", "cancel", "--graph", "g").stdout
    assert all(run in preview for run in runs)
    assert preview.endswith("Would cancel 2 runs; nothing was done. Do it with --yes.\n")
    assert (
        "More than 1 runs match"
        in lineshaft("runs", "cancel", "--graph", "g", "--maximum", "1", "--yes", code=1).stderr
    )
    assert lineshaft("runs", "cancel", "--graph", "g", "--yes").stdout == "Cancelled: 2 runs\n"
    assert lineshaft("runs", "retry", "--status", "interrupted", "--yes").stdout == "Tried again: 2 runs\n"
    assert "Name runs, or say" in lineshaft("runs", "cancel", "--yes", code=2).stderr
    assert ("cancel runs", "", 2) in lineshaft.on(audited)


def test_named_runs_are_cancelled_and_retried(lineshaft: Bench) -> None:
    run = lineshaft.on(waiting)
    assert lineshaft("runs", "cancel", run).stdout == f"Run {run} was cancelled.\n"
    again = lineshaft("runs", "cancel", run, run, code=1)
    assert again.stderr.count("has ended already: interrupted") == 2
    assert f"Run {run} is tried again from its input: " in lineshaft("runs", "retry", run).stdout
    assert "was tried again already" in lineshaft("runs", "retry", run).stdout


def test_events_of_a_run_are_printed(lineshaft: Bench) -> None:
    run = lineshaft.on(failed)
    plain = lineshaft("runs", "logs", run, "-f").stdout.splitlines()
    assert [line.split()[1] for line in plain] == ["metadata", "end"] and plain[-1].endswith('"error"')
    rows = [json.loads(line) for line in lineshaft("runs", "logs", run, "--json").stdout.splitlines()]
    assert rows[-1]["event"] == "end" and rows[-1]["data"] == "error"
    waits = lineshaft.on(waiting)
    assert lineshaft("runs", "logs", waits).stdout == ""


def test_workers_are_listed_and_drained(lineshaft: Bench) -> None:
    async def lease(desk: Desk) -> str:
        await desk.lease(desk.worker, 60_000)
        return desk.worker

    assert lineshaft("workers", "ls").stdout == "There are no workers.\n"
    worker = lineshaft.on(lease)
    assert lineshaft("workers", "drain", worker[:5]).stdout == f"Worker {worker} takes no new runs.\n"
    assert lineshaft("workers", "drain", worker).stdout == f"Worker {worker} was drained already.\n"
    assert "drained" in lineshaft("workers", "ls").stdout
    assert lineshaft("workers", "resume", worker).stdout == f"Worker {worker} takes runs again.\n"
    assert "no worker" in lineshaft("workers", "drain", "nobody", code=1).stderr


def test_dead_letters_are_retried_deleted_and_exported(lineshaft: Bench) -> None:
    runs = [lineshaft.on(buried) for _ in range(3)]
    rows = lineshaft.json("dlq", "ls")
    assert [row["run_id"] for row in rows] == runs[::-1]
    assert runs[0] in lineshaft("dlq", "ls").stdout
    exported = lineshaft("dlq", "export")
    assert len(exported.stdout.splitlines()) == 3 and exported.stderr == "exported 3 dead letters\n"
    assert "from its input" in lineshaft("dlq", "retry", rows[0]["id"]).stdout
    assert "it was retried, deleted" in lineshaft("dlq", "retry", rows[0]["id"], code=1).stderr
    assert lineshaft("dlq", "delete", "--all").stdout.endswith("Would delete 2; nothing was done. Do it with --yes.\n")
    lineshaft("dlq", "retry", "--all", "--yes")
    assert lineshaft("dlq", "ls").stdout == "There are no dead letters.\n"
    lineshaft("dlq", "delete", code=2)


def test_crons_are_listed_run_and_disabled(lineshaft: Bench) -> None:
    async def cron(desk: Desk) -> str:
        thread = await desk.open()
        request = CronCreate(assistant_id="g", schedule="@yearly")
        return (
            await CronStore(desk.client).create(thread, request, {"assistant_id": "g", "schedule": "@yearly"})
        ).cron_id

    assert lineshaft("crons", "ls").stdout == "There are no crons.\n"
    cron_id = lineshaft.on(cron)
    assert "@yearly" in lineshaft("crons", "ls").stdout
    assert lineshaft("crons", "run", cron_id).stdout.startswith("Started run ")
    assert lineshaft("crons", "disable", cron_id).stdout == f"Cron {cron_id} is disabled.\n"
    assert lineshaft("crons", "disable", cron_id).stdout == f"Cron {cron_id} is disabled already.\n"
    assert lineshaft.json("crons", "ls")[0]["enabled"] is False
    assert lineshaft("crons", "enable", cron_id).stdout == f"Cron {cron_id} is enabled.\n"
    assert len(lineshaft.json("runs", "ls")) == 1


def test_a_list_is_shown_again_until_it_is_stopped(lineshaft: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def stop_at_the_third(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "sleep", stop_at_the_third)
    shown = lineshaft("queues", "ls", "--watch", "--json").stdout.splitlines()
    assert len(shown) == 3 and json.loads(shown[0])[0]["queue"] == "runs"
    assert looks == [2.0] * 3
