"""`lineshaft keys`: who may call the gateway."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from lineshaft.access.api_keys import SCOPES, ApiKey, ApiKeys, Scope
from lineshaft.clock import iso
from lineshaft.errors import ConfigError

from .connection import connected, redis_options

T = TypeVar("T")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}  # seconds
_COLUMNS = "{:<12}  {:<24}  {:<6}  {:<10}  {:<16}  {:<16}  {:<16}  {}"


@click.group()
def keys() -> None:
    """Create, list and revoke API keys. A gateway asks for them with LINESHAFT_AUTH=keys."""


@keys.command()
@click.option("--name", required=True, help="To know it by.")
@click.option("--scope", type=click.Choice(SCOPES), default="write", show_default=True, help="What it may do.")
@click.option("--graph", "graphs", multiple=True, help="Only this graph; may be repeated.  [default: all]")
@click.option("--expires", metavar="TIME", help="As 30m, 12h or 90d.  [default: never]")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="[default: LINESHAFT_REQUESTS_PER_MINUTE]")
@click.option("--runs-per-day", type=click.IntRange(min=1), help="[default: LINESHAFT_RUNS_PER_DAY]")
@redis_options
def create(  # noqa: PLR0917 - click passes each option by name
    name: str,
    scope: Scope,
    graphs: tuple[str, ...],
    expires: str | None,
    requests_per_minute: int | None,
    runs_per_day: int | None,
    **where: Any,
) -> None:
    """Create a key and show it, this once.

    `read` may look at everything, `write` may change it and run graphs, `admin` may also steer the server itself.
    """
    seconds = _seconds(expires) if expires else None
    limits = {"requests_per_minute": requests_per_minute, "runs_per_day": runs_per_day}
    key, token = _do(lambda store: store.create(name, scope, graphs=list(graphs), seconds=seconds, **limits), **where)
    click.echo(token)
    click.echo(f"This is shown once. To take it back: lineshaft keys revoke {key.key_id}", err=True)


@keys.command(name="list")
@redis_options
def show(**where: Any) -> None:
    """List all keys, without the keys themselves."""
    found = _do(ApiKeys.list, **where)
    if not found:
        click.echo("There are no keys: lineshaft keys create --name NAME", err=True)
        return
    click.echo(_COLUMNS.format("ID", "NAME", "SCOPE", "STATE", "CREATED", "LAST USED", "EXPIRES", "GRAPHS"))
    for key in found:
        state = "expired" if key.is_expired else "good"
        times = (_time(key.created), _time(key.used), _time(key.expires))
        click.echo(_COLUMNS.format(key.key_id, _short(key), key.scope, state, *times, ", ".join(key.graphs) or "all"))


@keys.command()
@click.argument("key_id", metavar="ID")
@redis_options
def revoke(key_id: str, **where: Any) -> None:
    """Take a key back. Gateways take it for up to 5 seconds more."""
    _do(lambda store: store.revoke(key_id), **where)
    click.echo(f"Revoked {key_id}.")


def _do(act: Callable[[ApiKeys], Awaitable[T]], **where: Any) -> T:
    async def on_redis() -> T:
        async with connected(**where) as client:
            return await act(ApiKeys(client))

    return asyncio.run(on_redis())


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if found is None:
        raise ConfigError(f"--expires {text!r}: expected a number of minutes, hours or days, as 30m, 12h or 90d")
    return int(found[1]) * _UNITS[found[2]]


def _time(ms: int | None) -> str:
    return "never" if ms is None else iso(ms)[:16].replace("T", " ")


def _short(key: ApiKey) -> str:
    return key.name if len(key.name) <= 24 else key.name[:23] + "…"  # the column's width
