"""`lineshaft runs`: find runs of all threads, look into one, cancel, retry, follow its events."""

from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from lineshaft.access.audit import Audit
from lineshaft.errors import LineshaftError, Unavailable
from lineshaft.ids import canonical
from lineshaft.redis.client import Client
from lineshaft.runs.actions import MOST, Bulk, BulkResult, Kind, cancel_one
from lineshaft.runs.cancellation import Action
from lineshaft.runs.detail import RunDetail, read_detail
from lineshaft.runs.error_groups import group_errors
from lineshaft.runs.index import LOOKED_AT, RunFilter, RunIndex, RunPage
from lineshaft.runs.retries import retry_run

from .connection import redis_options
from .run_filters import filter_options, run_filter
from .run_log import follow_run
from .table import Columns, act, ago, lines, moment, output_options, show

_COLUMNS: Columns = {
    "RUN": lambda row: row.run_id,
    "STATUS": lambda row: (
        f"{row.status}, {row.cancel} asked for" if row.cancel and row.state != "ended" else row.status
    ),
    "STATE": lambda row: row.state,
    "GRAPH": lambda row: row.graph_id,
    "QUEUE": lambda row: row.queue,
    "AGE": lambda row: ago(row.age),
    "TRY": lambda row: row.attempt,
    "ERROR": lambda row: row.error_class,
    "WORKER": lambda row: row.worker,
    "THREAD": lambda row: row.thread_id,
}
_ATTEMPTS: Columns = {
    "ATTEMPT": lambda row: row.number,
    "WORKER": lambda row: row.worker,
    "HOST": lambda row: row.host,
    "BEGAN": lambda row: moment(row.began_at),
    "ENDED": lambda row: moment(row.ended_at),
    "HOW": lambda row: row.reason,
}
_ERRORS: Columns = {
    "COUNT": lambda row: row.count,
    "ERROR": lambda row: row.error_class,
    "WHERE": lambda row: row.place,
    "GRAPHS": lambda row: ", ".join(row.graphs),
    "LAST": lambda row: moment(row.last_at),
    "RUN": lambda row: row.last_run,
}
_maximum = click.option(
    "--maximum", type=click.IntRange(1, MOST), default=100, show_default=True, help="If more match, none is touched."
)
_yes = click.option("--yes", is_flag=True, help="Do it to all that match; without it only say which.")


@click.group()
def runs() -> None:
    """Find runs of all threads, look into one, cancel, retry, follow its events."""


@runs.command(name="ls")
@filter_options
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@output_options
@redis_options
def ls(limit: int, *, as_json: bool, watch: bool, **options: Any) -> None:
    """List runs: those that have not ended, then those that ended lately; the newest first."""
    where = run_filter(options)

    async def read(client: Client) -> list[Any]:
        return await _found(client, where, limit)

    show(read, _COLUMNS, "No run matches.", as_json=as_json, watch=watch, **options)


@runs.command(name="show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="JSON, with the stack of its error.")
@redis_options
def show_run(run: str, *, as_json: bool, **where: Any) -> None:
    """Show the timeline, attempts, error and cancel of RUN."""
    run_id = canonical(run, "run")
    detail = act(lambda client, _: read_detail(client, run_id), **where)
    click.echo(msgspec.json.format(msgspec.json.encode(detail)) if as_json else "\n".join(_told(detail)))


@runs.command()
@click.argument("ids", metavar="[RUN]...", nargs=-1)
@filter_options
@click.option("--rollback", is_flag=True, help="Take back what they did, too.")
@_maximum
@_yes
@redis_options
def cancel(ids: tuple[str, ...], *, rollback: bool, maximum: int, yes: bool, **options: Any) -> None:
    """Cancel RUNs, or all that match."""
    action: Action = "rollback" if rollback else "interrupt"
    where = run_filter(options)

    async def one(client: Client, run_id: str) -> str:
        return (await cancel_one(client, run_id, action))[1]

    bulk = Bulk(kind="cancel", where=where, maximum=maximum, action=action)
    _do(f"cancel run ({action})", ids, one, bulk, yes=yes, **options)


@runs.command()
@click.argument("ids", metavar="[RUN]...", nargs=-1)
@filter_options
@_maximum
@_yes
@redis_options
def retry(ids: tuple[str, ...], *, maximum: int, yes: bool, **options: Any) -> None:
    """Try failed or cancelled RUNs again, or all that match.

    Each as a new run, from its last checkpoint, or from its input if it has written none.
    """
    where = run_filter(options)

    async def one(client: Client, run_id: str) -> str:
        again = await retry_run(client, run_id)
        how = "is tried again" if again.is_new else "was tried again already"
        return f"Run {run_id} {how} {again.starts}: {again.run_id}"

    _do("retry run", ids, one, Bulk(kind="retry", where=where, maximum=maximum), yes=yes, **options)


@runs.command()
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@redis_options
def logs(run: str, *, follow: bool, as_json: bool, **where: Any) -> None:
    """Print the events of RUN, as its streams have them."""
    run_id = canonical(run, "run")

    async def printed(client: Client, _: Audit) -> None:
        async for entry in follow_run(client, run_id, follow=follow):
            if as_json:
                click.echo(msgspec.json.encode(entry))
            else:
                click.echo(f"{entry.id}  {entry.event:<12} {bytes(entry.data).decode(errors='replace')}")

    try:
        act(printed, **where)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as shells have it: interrupted


@runs.command()
@output_options
@redis_options
def errors(*, as_json: bool, watch: bool, **where: Any) -> None:
    """Group the runs that failed lately by their error and where it came from."""
    show(group_errors, _ERRORS, "No run has failed lately.", as_json=as_json, watch=watch, **where)


async def _found(client: Client, where: RunFilter, limit: int) -> list[Any]:
    """Up to `limit`, however far back."""
    found: list[Any] = []
    page = RunPage([], "")
    while page.next is not None and len(found) < limit:
        page = await RunIndex(client).page(where, limit=min(limit - len(found), LOOKED_AT), cursor=page.next)
        found += page.runs
    return found


def _do(
    what: str,
    ids: tuple[str, ...],
    one: Callable[[Client, str], Awaitable[str]],
    bulk: Bulk,
    *,
    yes: bool,
    **where: Any,
) -> None:
    if bool(ids) != bulk.where.is_empty:
        raise click.UsageError("Name runs, or say by options which.")
    run_ids = [canonical(run, "run") for run in ids]
    refused = act(
        lambda client, audit: (
            _named(client, audit, what, run_ids, one) if run_ids else _matching(client, audit, bulk, yes=yes)
        ),
        **where,
    )
    if refused:
        raise SystemExit(1)


async def _named(
    client: Client, audit: Audit, what: str, run_ids: list[str], one: Callable[[Client, str], Awaitable[str]]
) -> int:
    refused = 0
    for run_id in run_ids:
        try:
            async with audit.noted(what, run_id):
                click.echo(await one(client, run_id))
        except Unavailable:
            raise
        except LineshaftError as error:
            refused += 1
            click.echo(str(error), err=True)
    return refused


async def _matching(client: Client, audit: Audit, bulk: Bulk, *, yes: bool) -> int:
    rows, seen = await bulk.preview(client)
    if not yes:
        for line in lines(rows, _COLUMNS) if rows else []:
            click.echo(line)
        more = f" More than {bulk.maximum} match: raise --maximum." if seen.is_more else ""
        click.echo(f"Would {bulk.kind} {_runs(seen.matched)}; nothing was done. Do it with --yes.{more}")
        return 0
    async with audit.noted(f"{bulk.kind} runs", where=bulk.where, count=seen.matched):
        done = await bulk.carry_out(client, rows, seen)
    _tell(bulk.kind, done)
    return done.refused


def _tell(kind: Kind, done: BulkResult) -> None:
    for refusal in done.refusals:
        click.echo(refusal, err=True)
    past = "Cancelled" if kind == "cancel" else "Tried again"
    click.echo(f"{past}: {_runs(done.done)}" + (f"; refused: {done.refused}" if done.refused else ""))


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _told(detail: RunDetail) -> list[str]:
    run, timeline = detail.run, detail.timeline
    pairs: dict[str, object] = {
        "run": run.run_id,
        "thread": run.thread_id,
        "graph": f"{run.graph_id} (assistant {run.assistant_id}, revision {detail.revision or '-'})",
        "queue": run.queue,
        "status": f"{run.status} ({run.state})",
        "made": moment(timeline.made_at),
        "due": moment(timeline.due_at),
        "ready": moment(timeline.ready_at),
        "started": moment(timeline.started_at),
        "first event": moment(timeline.first_event_at),
        "ended": moment(timeline.ended_at),
    }
    if detail.lease:
        lease = detail.lease
        pairs["held by"] = f"{lease.worker} on {lease.host}, lease for {lease.seconds_left:.0f} s more"
    if detail.cancelled:
        pairs["cancel"] = f"{detail.cancelled.action} at {moment(detail.cancelled.at)}: {detail.cancelled.reason}"
    if detail.retry_of:
        pairs["retry of"] = detail.retry_of
    if detail.retried_as:
        pairs["retried as"] = detail.retried_as
    told = [f"{name:<12} {value}" for name, value in pairs.items()]
    if detail.attempts:
        told += ["", *lines(detail.attempts, _ATTEMPTS)]
    if detail.failure:
        told += ["", f"{detail.failure.error}: {detail.failure.message}", "", detail.failure.stack.rstrip()]
    elif detail.error:
        told += ["", f"{detail.error.get('error')}: {detail.error.get('message')}"]
    return told
