"""`lineshaft queues`: look at them, pause, drain and resume them."""

from typing import Any

import click

from lineshaft.access.audit import Audit
from lineshaft.queues import control as queue_control
from lineshaft.queues.overview import list_queues
from lineshaft.redis.client import Client

from .connection import redis_options
from .table import Columns, act, ago, output_options, show

_COLUMNS: Columns = {
    "QUEUE": lambda row: row.queue,
    "STATE": lambda row: row.state,
    "READY": lambda row: row.ready,
    "DELAYED": lambda row: row.delayed,
    "WAITING": lambda row: row.waiting,
    "PARKED": lambda row: row.parked,
    "RUNNING": lambda row: row.running,
    "OLDEST": lambda row: ago(row.oldest_wait),
    "WORKERS": lambda row: row.workers,
    "SLOTS": lambda row: row.slots,
    "": lambda row: row.warning or " ",
}


@click.group()
def queues() -> None:
    """Look at the queues, pause, drain and resume them."""


@queues.command(name="ls")
@output_options
@redis_options
def ls(*, as_json: bool, watch: bool, **where: Any) -> None:
    """List the queues and their runs: ready for a slot, due later, behind their thread or a limit, running."""
    show(list_queues, _COLUMNS, "There are no queues.", as_json=as_json, watch=watch, **where)


@queues.command()
@click.argument("queue")
@redis_options
def pause(queue: str, **where: Any) -> None:
    """Let no worker take runs of QUEUE. It takes new ones; what runs goes on."""
    _order(queue, "paused", **where)


@queues.command()
@click.argument("queue")
@redis_options
def drain(queue: str, **where: Any) -> None:
    """Refuse new runs of QUEUE, and execute those that are there."""
    _order(queue, "draining", **where)


@queues.command()
@click.argument("queue")
@redis_options
def resume(queue: str, **where: Any) -> None:
    """End a pause or a drain of QUEUE."""
    _order(queue, "open", **where)


def _order(queue: str, state: queue_control.State, **where: Any) -> None:
    async def order(client: Client, audit: Audit) -> str:
        async with audit.noted(queue_control.ACTIONS[state], queue):
            return (await queue_control.order(client, queue, state))[1]

    click.echo(act(order, **where))
