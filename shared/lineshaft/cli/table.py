"""What commands for operators print: tables for people, JSON for programs; once, or again and again until Ctrl-C."""

import asyncio
import getpass
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
import msgspec

from lineshaft.access.audit import Audit
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

from .connection import connected

T = TypeVar("T")
Columns = Mapping[str, Callable[[Any], object]]
_WATCH_SECONDS = 2.0  # between two looks: as often as a person wants to know
_CLEAR = "\033[H\033[2J"


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that show a list: give their values to `show`."""
    for option in (
        click.option("--watch", is_flag=True, help="Again every 2 seconds, until Ctrl-C."),
        click.option("--json", "as_json", is_flag=True, help="JSON in place of a table."),
    ):
        command = option(command)
    return command


def act(action: Callable[[Client, Audit], Awaitable[T]], **where: Any) -> T:
    """Do something on the Redis that the options name. What it changes is audited under this machine's user."""

    async def on_redis() -> T:
        async with connected(**where) as client:
            return await action(client, Audit(client, _who()))

    log.configure("WARNING")  # what commands have to say they print
    return asyncio.run(on_redis())


def show(
    read: Callable[[Client], Awaitable[Any]],
    columns: Columns,
    nothing: str,
    *,
    as_json: bool,
    watch: bool,
    rows: Callable[[Any], Sequence[Any]] = lambda found: found,
    **where: Any,
) -> None:
    """Print what is read, `rows` of it as a table, or `nothing` if there are none."""

    async def once(client: Client) -> None:
        found = await read(client)
        if as_json:
            text = msgspec.json.encode(found)
            click.echo(text if watch else msgspec.json.format(text))
            return
        table = rows(found)
        clear = _CLEAR if watch and os.isatty(1) else ""
        click.echo(clear + "\n".join(lines(table, columns) if table else [nothing]))

    async def again_and_again(client: Client, _: Audit) -> None:
        await once(client)
        while watch:
            await asyncio.sleep(_WATCH_SECONDS)
            await once(client)

    try:
        act(again_and_again, **where)
    except KeyboardInterrupt:
        if not watch:
            raise


def lines(rows: Sequence[Any], columns: Columns) -> list[str]:
    """A table, each column as wide as its widest cell."""
    cells = [list(columns), *([text(cell(row)) for cell in columns.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def text(value: object) -> str:
    """A cell."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def ago(seconds: float | None) -> str:
    """`5s`, `12m`, `3h`, `9d`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:.0f}s"


def moment(iso: str | None) -> str:
    """A time of today as `12:34:56`, another one with its day; in UTC, as the records have it."""
    if not iso:
        return "-"
    at = datetime.fromisoformat(iso)
    return f"{at:%H:%M:%S}" if at.date() == datetime.now(at.tzinfo).date() else f"{at:%Y-%m-%d %H:%M}"


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"cli:{user}@{socket.gethostname()}"
