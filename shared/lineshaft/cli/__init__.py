"""The command `lineshaft`: starts processes by module name; imports neither gateway nor worker."""

from typing import Any

import click

from lineshaft import __version__
from lineshaft.errors import LineshaftError

from .crons import crons
from .dev import dev
from .dlq import dlq
from .dockerfile import dockerfile
from .doctor import doctor
from .keys import keys
from .manifests import manifests
from .migrate import migrate
from .parts import gateway, worker
from .queues import queues
from .runs import runs
from .threads import threads
from .validate import openapi, validate
from .workers import workers


class _Lineshaft(click.Group):
    """What is wrong, as with a configuration, is one line on standard error and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LineshaftError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Lineshaft, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lineshaft", message="%(prog)s %(version)s")
def main() -> None:
    """Run LangGraph graphs at scale: an open Agent Server on Redis."""


main.add_command(dev)
main.add_command(gateway)
main.add_command(worker)
main.add_command(keys)
main.add_command(threads)
main.add_command(queues)
main.add_command(runs)
main.add_command(workers)
main.add_command(dlq)
main.add_command(crons)
main.add_command(migrate)
main.add_command(validate)
main.add_command(openapi)
main.add_command(doctor)
main.add_command(dockerfile)
main.add_command(manifests)
