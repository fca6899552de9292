"""The command `lineshaft`: starts processes by module name; imports neither gateway nor worker."""

from typing import Any

import click

from lineshaft import __version__
from lineshaft.errors import ConfigError

from .dev import dev
from .parts import gateway, worker


class _Lineshaft(click.Group):
    """What is wrong with a configuration is one line on standard error and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Lineshaft, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lineshaft", message="%(prog)s %(version)s")
def main() -> None:
    """Run LangGraph graphs at scale: an open Agent Server on Redis."""


main.add_command(dev)
main.add_command(gateway)
main.add_command(worker)
