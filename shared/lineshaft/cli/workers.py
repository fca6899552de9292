"""`lineshaft workers`: who is there, and draining one."""

from typing import Any

import click

from lineshaft.access.audit import Audit
from lineshaft.queues.workers import drain_worker, list_workers, named_worker, resume_worker
from lineshaft.redis.client import Client

from .connection import redis_options
from .table import Columns, act, moment, output_options, show

_COLUMNS: Columns = {
    "WORKER": lambda row: row.worker,
    "HOST": lambda row: row.host,
    "PID": lambda row: row.pid,
    "VERSION": lambda row: row.version,
    "SLOTS": lambda row: f"{row.running}/{row.slots}",
    "QUEUES": lambda row: ", ".join(sorted(row.queues)) or "all",
    "GRAPHS": lambda row: len(row.graphs),
    "STATE": lambda row: "silent" if row.lease_seconds_left < 0 else "drained" if row.is_drained else "good",
    "STARTED": lambda row: moment(row.started_at),
}


@click.group()
def workers() -> None:
    """Look at the workers, drain and resume them."""


@workers.command(name="ls")
@output_options
@redis_options
def ls(*, as_json: bool, watch: bool, **where: Any) -> None:
    """List the workers that are there."""
    show(list_workers, _COLUMNS, "There are no workers.", as_json=as_json, watch=watch, **where)


@workers.command()
@click.argument("worker")
@redis_options
def drain(worker: str, **where: Any) -> None:
    """Let WORKER (an id, or its beginning) take no new runs; those that it has it brings to their ends.

    It stays until it is resumed, or its process is replaced: a new one has a new id.
    """

    async def drained(client: Client, audit: Audit) -> str:
        name = await named_worker(client, worker)
        async with audit.noted("drain worker", name):
            changed = await drain_worker(client, name)
        return f"Worker {name} {'takes no new runs' if changed else 'was drained already'}."

    click.echo(act(drained, **where))


@workers.command()
@click.argument("worker")
@redis_options
def resume(worker: str, **where: Any) -> None:
    """Let a drained WORKER (an id, or its beginning) take runs again, which it does at once."""

    async def resumed(client: Client, audit: Audit) -> str:
        name = await named_worker(client, worker)
        async with audit.noted("resume worker", name):
            changed = await resume_worker(client, name)
        return f"Worker {name} {'takes runs again' if changed else 'was not drained'}."

    click.echo(act(resumed, **where))
