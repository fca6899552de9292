"""The options by which commands choose runs."""

import re
from collections.abc import Callable
from typing import Any, get_args

import click

from lineshaft.ids import canonical
from lineshaft.runs.index import RunFilter, Status

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}  # seconds


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that a filter is made of: give their values to `run_filter`."""
    for option in (
        click.option("--newer-than", metavar="TIME", help="Made at most so long ago, as 30m, 12h or 90d."),
        click.option("--older-than", metavar="TIME", help="Made at least so long ago."),
        click.option("--worker", help="That a worker holds now."),
        click.option("--error-class", help="That ended with this error, as ValueError."),
        click.option("--queue"),
        click.option("--assistant", metavar="ID"),
        click.option("--thread", metavar="ID"),
        click.option("--graph"),
        click.option("--status", type=click.Choice(get_args(Status))),
    ):
        command = option(command)
    return command


def run_filter(options: dict[str, Any]) -> RunFilter:
    """Takes what `filter_options` gave out of a command's options. Raises Invalid for what is no id."""
    taken = {name: options.pop(name) for name in RunFilter.__struct_fields__}
    for name in ("older_than", "newer_than"):
        taken[name] = _seconds(f"--{name.replace('_', '-')}", taken[name])
    for name in ("thread", "assistant"):
        taken[name] = taken[name] and canonical(taken[name], name)
    return RunFilter(**taken)


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time: as 45s, 30m, 12h or 90d", param_hint=option)
    return int(found[1]) * _UNITS[found[2]]
