"""`lineshaft crons`: when they fire, how it went last; firing, enabling and disabling one."""

from typing import Any

import click

from lineshaft.access.audit import Audit
from lineshaft.crons.overview import enable_cron, list_crons, run_cron
from lineshaft.ids import canonical
from lineshaft.redis.client import Client

from .connection import redis_options
from .table import Columns, act, ago, moment, output_options, show

_COLUMNS: Columns = {
    "CRON": lambda row: row.cron_id,
    "SCHEDULE": lambda row: row.schedule,
    "ZONE": lambda row: row.timezone or "UTC",
    "STATE": lambda row: "late" if row.late > 10 else "enabled" if row.enabled else "disabled",  # seconds
    "NEXT": lambda row: moment(row.next_at) if row.enabled else "-",
    "LAST": lambda row: moment(row.last_fired_at),
    "LATE": lambda row: ago(row.last_late),
    "OUTCOME": lambda row: row.last_status or row.last_outcome,
    "RUN": lambda row: row.last_run,
}


@click.group()
def crons() -> None:
    """Look at crons, run, enable and disable them."""


@crons.command(name="ls")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@output_options
@redis_options
def ls(limit: int, *, as_json: bool, watch: bool, **where: Any) -> None:
    """List crons with their next time, and what became of the last one. Times are in UTC."""
    show(
        lambda client: list_crons(client, limit=limit),
        _COLUMNS, "There are no crons.", as_json=as_json, watch=watch, **where,
    )  # fmt: skip


@crons.command()
@click.argument("cron")
@redis_options
def run(cron: str, **where: Any) -> None:
    """Start the run of CRON now, beside its schedule."""
    cron_id = canonical(cron, "cron")

    async def started(client: Client, audit: Audit) -> str:
        async with audit.noted("run cron", cron_id):
            return await run_cron(client, cron_id)

    click.echo(f"Started run {act(started, **where)}.")


@crons.command()
@click.argument("cron")
@redis_options
def enable(cron: str, **where: Any) -> None:
    """Let CRON fire again. It does not make up for the time in between."""
    _enable(cron, enabled=True, **where)


@crons.command()
@click.argument("cron")
@redis_options
def disable(cron: str, **where: Any) -> None:
    """Let CRON fire no more. Runs that it has started go on."""
    _enable(cron, enabled=False, **where)


def _enable(cron: str, *, enabled: bool, **where: Any) -> None:
    cron_id, state = canonical(cron, "cron"), "enabled" if enabled else "disabled"

    async def change(client: Client, audit: Audit) -> bool:
        async with audit.noted("enable cron" if enabled else "disable cron", cron_id):
            return await enable_cron(client, cron_id, enabled=enabled)

    click.echo(f"Cron {cron_id} is {state}{'' if act(change, **where) else ' already'}.")
