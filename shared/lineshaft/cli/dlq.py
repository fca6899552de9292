"""`lineshaft dlq`: dead letters, the runs that were given up since too many workers died with them."""

from collections.abc import Awaitable, Callable
from typing import IO, Any

import click
import msgspec

from lineshaft.access.audit import Audit
from lineshaft.errors import LineshaftError, Unavailable
from lineshaft.redis.client import Client
from lineshaft.runs.dead_letters import delete_letter, every_letter, export_letters, list_letters, retry_letter

from .connection import redis_options
from .table import Columns, act, ago, output_options, show

_COLUMNS: Columns = {
    "LETTER": lambda row: row.id,
    "RUN": lambda row: row.run_id,
    "THREAD": lambda row: row.thread_id,
    "GRAPH": lambda row: row.graph_id,
    "CRASHES": lambda row: row.crashes,
    "AGE": lambda row: ago(row.age),
    "RECORD": lambda row: "kept" if row.is_kept else "gone",
}
_Act = Callable[[Client, str], Awaitable[str]]


@click.group()
def dlq() -> None:
    """Look at dead letters, retry, delete and export them."""


@dlq.command(name="ls")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@output_options
@redis_options
def ls(limit: int, *, as_json: bool, watch: bool, **where: Any) -> None:
    """List the runs that were given up, the newest first."""
    show(
        lambda client: list_letters(client, limit=limit),
        _COLUMNS, "There are no dead letters.", as_json=as_json, watch=watch, **where,
    )  # fmt: skip


@dlq.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them; says which unless --yes is given.")
@click.option("--yes", is_flag=True, help="Do it.")
@redis_options
def retry(letters: tuple[str, ...], *, every: bool, yes: bool, **where: Any) -> None:
    """Try the runs of LETTERS again, each as a new run, and delete the letters."""

    async def one(client: Client, letter: str) -> str:
        again = await retry_letter(client, letter)
        return f"{letter}: run {again.run_id} {again.starts}"

    _each("retry", letters, one, every=every, yes=yes, **where)


@dlq.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them; says which unless --yes is given.")
@click.option("--yes", is_flag=True, help="Do it.")
@redis_options
def delete(letters: tuple[str, ...], *, every: bool, yes: bool, **where: Any) -> None:
    """Delete LETTERS. Their runs stay as they are."""

    async def one(client: Client, letter: str) -> str:
        await delete_letter(client, letter)
        return f"{letter}: deleted"

    _each("delete", letters, one, every=every, yes=yes, **where)


@dlq.command()
@click.option("--output", type=click.File("wb"), default="-", help="A file.  [default: standard output]")
@redis_options
def export(output: IO[bytes], **where: Any) -> None:
    """Write all dead letters with what is known of their runs: one JSON object a line."""

    async def written(client: Client, audit: Audit) -> int:
        count = 0
        async with audit.noted("export dead letters"):
            async for letter in export_letters(client):
                output.write(msgspec.json.encode(letter) + b"\n")
                count += 1
        return count

    count = act(written, **where)
    click.echo(f"exported {count} dead letter{'' if count == 1 else 's'}", err=True)


def _each(what: str, letters: tuple[str, ...], one: _Act, *, every: bool, yes: bool, **where: Any) -> None:
    if bool(letters) == every:
        raise click.UsageError("Name letters, or give --all.")

    async def all_of_them(client: Client, audit: Audit) -> int:
        chosen = [letter.id async for letter in every_letter(client)] if every else list(letters)
        if every and not yes:
            click.echo("\n".join([*chosen, f"Would {what} {len(chosen)}; nothing was done. Do it with --yes."]))
            return 0
        refused = 0
        for letter in chosen:
            try:
                async with audit.noted(f"{what} dead letter", letter):
                    click.echo(await one(client, letter))
            except Unavailable:
                raise
            except LineshaftError as error:
                refused += 1
                click.echo(f"{letter}: {error}", err=True)
        return refused

    if act(all_of_them, **where):
        raise SystemExit(1)
