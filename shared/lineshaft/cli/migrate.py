"""`lineshaft migrate`: what another Agent Server holds, taken into this one."""

import sys
import time

import click

from lineshaft.errors import ConfigError, LineshaftError
from lineshaft.migration.report import KINDS, Report

_SHOWN = 10  # of what one reason is about
_EVERY = 2.0  # seconds between two lines of progress
_ABOUT = {"assistants": "assistants", "threads": "threads", "crons": "crons", "items": "items of the store"}


def _headers(key: str | None, pairs: tuple[str, ...], name: str) -> dict[str, str]:
    headers = {"X-Api-Key": key} if key else {}
    for pair in pairs:
        header, equals, value = pair.partition("=")
        if not header or not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint=name)
        headers[header] = value
    return headers


@click.command()
@click.option("--from", "source_url", required=True, metavar="URL", help="The server to take from.")
@click.option("--from-key", envvar="LINESHAFT_MIGRATE_FROM_KEY", help="Its API key. Also LINESHAFT_MIGRATE_FROM_KEY.")
@click.option("--from-header", multiple=True, metavar="NAME=VALUE", help="What it wants to be told.")
@click.option("--to", "target_url", default="http://127.0.0.1:8124", show_default=True, metavar="URL", help="Ours.")
@click.option("--to-key", envvar="LINESHAFT_MIGRATE_TO_KEY", help="Its API key. Also LINESHAFT_MIGRATE_TO_KEY.")
@click.option("--to-header", multiple=True, metavar="NAME=VALUE", help="What it wants to be told.")
@click.option("--only", type=click.Choice(KINDS), multiple=True, help="Take these.  [default: all]")
@click.option("--enable-crons", is_flag=True, help="Turn on the crons that are taken. The other server must be off.")
@click.option("--ask-again", is_flag=True, help="Run threads that wait for an answer up to their question.")
@click.option("--dry-run", is_flag=True, help="Change nothing, and say what would be taken.")
def migrate(  # noqa: PLR0917 - click passes each option by name
    source_url: str,
    from_key: str | None,
    from_header: tuple[str, ...],
    target_url: str,
    to_key: str | None,
    to_header: tuple[str, ...],
    only: tuple[str, ...],
    enable_crons: bool,
    ask_again: bool,
    dry_run: bool,
) -> None:
    """Take assistants, threads with their states, crons and store items from another Agent Server.

    Through the public API of both, so it may run from anywhere. What is there is skipped: run it again after an
    interruption, or to take what is new. Runs that are over stay behind; let runs end before.
    """
    from lineshaft.migration.move import move_all  # noqa: PLC0415 - loads an HTTP client, which no other command needs

    report = Report(_Progress())
    try:
        move_all(
            (source_url, _headers(from_key, from_header, "--from-header")),
            (target_url, _headers(to_key, to_header, "--to-header")),
            report, only or KINDS, dry=dry_run, enable_crons=enable_crons, ask_again=ask_again,
        )  # fmt: skip
    except ConfigError:
        raise
    except LineshaftError as error:
        _show(report, dry=dry_run)
        raise click.ClickException(f"{error}. What was taken is there: run it again for the rest.") from None
    _show(report, dry=dry_run)
    sys.exit(1 if report.missing else 0)


class _Progress:
    """On standard error: the report on standard output stays clean."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, kind: str, count: int) -> None:
        if time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            click.echo(f"  {count} {_ABOUT[kind]}...", err=True)


def _show(report: Report, *, dry: bool) -> None:
    for kind in KINDS:
        if report.taken[kind] or report.present[kind]:
            there = f", {report.present[kind]} were there" if report.present[kind] else ""
            click.echo(f"{report.taken[kind]} {_ABOUT[kind]} {'would be ' * dry}taken{there}")
    for note in report.notes:
        click.echo(f"note: {note}")
    for why, what in report.missing.items():
        click.echo(f"{why}:")
        for name in what[:_SHOWN]:
            click.echo(f"  {name}")
        if len(what) > _SHOWN:
            click.echo(f"  and {len(what) - _SHOWN} more")
