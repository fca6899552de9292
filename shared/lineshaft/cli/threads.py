"""`lineshaft threads export|delete`: all that is kept under some metadata, as a person may ask for it."""

import asyncio
import contextlib
import itertools
from typing import IO, Any

import click
import msgspec

from lineshaft.assistants.queries import Queries
from lineshaft.redis.client import Client
from lineshaft.threads.export import erase_thread, export_thread
from lineshaft.threads.search import Filter, ThreadSearch

from .connection import connected, redis_options

_METADATA = click.option(
    "--metadata",
    "conditions",
    multiple=True,
    required=True,
    metavar="KEY=VALUE",
    help="What the threads' metadata must have, all of it if given more than once. A number, true or null is found"
    " as text too. Also a JSON object.",
)


@click.group()
def threads() -> None:
    """Hand out or remove all that is kept under some metadata."""


@threads.command()
@_METADATA
@click.option("--output", type=click.File("wb"), default="-", help="A file for the export.  [default: standard output]")
@click.option("--no-history", is_flag=True, help="Only present states, which needs no worker.")
@redis_options
def export(conditions: tuple[str, ...], output: IO[bytes], no_history: bool, **where: Any) -> None:
    """Write threads with their messages, runs and all states: one JSON object a line."""
    filters = _filters(conditions)
    count = asyncio.run(_export(filters, output, with_history=not no_history, **where))
    click.echo(f"exported {_threads(count)}", err=True)


@threads.command()
@_METADATA
@click.option("--yes", is_flag=True, help="Do not ask.")
@redis_options
def delete(conditions: tuple[str, ...], yes: bool, **where: Any) -> None:
    """Delete threads with their messages, runs and all states, also while they run.

    Threads that come meanwhile are deleted too.
    """
    count = asyncio.run(_delete(_filters(conditions), ask=not yes, **where))
    click.echo(f"deleted {_threads(count)}")


async def _export(filters: list[Filter], output: IO[bytes], *, with_history: bool, **where: Any) -> int:
    count = 0
    async with connected(**where) as client:
        blocking = client.blocking()
        try:
            queries = Queries(client, blocking)
            for thread_id in sorted(await _find(client, filters)):
                lines = 0
                async for line in export_thread(client, queries, thread_id, with_history=with_history):
                    output.write(msgspec.json.encode(line) + b"\n")
                    lines += 1
                count += lines > 0
        finally:
            await blocking.aclose()
    return count


async def _delete(filters: list[Filter], *, ask: bool, **where: Any) -> int:
    count = 0
    async with connected(**where) as client:
        while found := await _find(client, filters):
            if ask:
                click.confirm(f"Delete {_threads(len(found))} with all that is kept of them?", abort=True)
                ask = False
            for thread_id in found:
                count += await erase_thread(client, thread_id)
    return count


async def _find(client: Client, filters: list[Filter]) -> set[str]:
    found: set[str] = set()
    for where in filters:
        found.update(await ThreadSearch(client).every(where))
    return found


def _filters(conditions: tuple[str, ...]) -> list[Filter]:
    """One filter for each way to read the conditions."""
    filters: list[Filter] = []
    for readings in itertools.product(*map(_readings, conditions)):
        metadata: dict[str, Any] = {}
        for reading in readings:
            if again := metadata.keys() & reading:
                raise click.BadParameter(f"{min(again)!r} is given twice", param_hint="--metadata")
            metadata |= reading
        filters.append(Filter(metadata=metadata))
    return filters


def _readings(condition: str) -> list[dict[str, Any]]:
    if condition.startswith("{"):
        try:
            document: dict[str, Any] = msgspec.json.decode(condition, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise click.BadParameter(f"{condition!r} is no JSON object: {error}", param_hint="--metadata") from None
        if not document:  # it would be found in every thread
            raise click.BadParameter("an empty object says nothing", param_hint="--metadata")
        return [document]
    name, equals, text = condition.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{condition!r} is not KEY=VALUE", param_hint="--metadata")
    readings: list[Any] = [text]
    with contextlib.suppress(msgspec.DecodeError):  # else it is plain text
        readings.append(msgspec.json.decode(text, type=int | float | bool | None))
    return [{name: reading} for reading in readings]


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"
