"""All of it, in the order in which one thing needs the other: crons name assistants and threads."""

from collections.abc import Callable, Iterable, Mapping

from lineshaft.errors import ConfigError, NotFound, Refused

from .assistants import move_assistants
from .crons import move_crons
from .items import move_items
from .report import Report
from .server import Server
from .threads import move_threads

Address = tuple[str, Mapping[str, str]]  # URL and headers


def move_all(
    source: Address,
    target: Address,
    report: Report,
    kinds: Iterable[str],
    *,
    dry: bool,
    enable_crons: bool,
    ask_again: bool,
) -> None:
    """Take what is not there. Raises ConfigError if it cannot begin, and Unavailable if a server stays away."""
    theirs, ours = Server(*source), Server(*target)
    try:
        _check(ours)
        moves = {
            "assistants": lambda: move_assistants(theirs, ours, report, dry=dry),
            "threads": lambda: move_threads(theirs, ours, report, dry=dry, asks=ask_again),
            "crons": lambda: move_crons(theirs, ours, report, dry=dry, enable=enable_crons),
            "items": lambda: move_items(theirs, ours, report, dry=dry),
        }
        for kind, move in moves.items():
            if kind in kinds:
                _whole(kind, move, report)
        if report.taken["crons"] and not enable_crons and not dry:
            report.notes.append("crons are turned off: turn the other server off, then run this with --enable-crons")
    finally:
        theirs.close()
        ours.close()


def _check(target: Server) -> None:
    """Versions of assistants are put as a whole, which only Lineshaft can; a mixed-up --from and --to ends here."""
    described = target.find("/openapi.json")
    if described and "put" not in described["paths"].get("/assistants/{assistant_id}", {}):
        raise ConfigError(f"--to {target.url} is no Lineshaft")


def _whole(kind: str, move: Callable[[], None], report: Report) -> None:
    """One kind; a server need not have it, or may not let us list it."""
    try:
        move()
    except (NotFound, Refused) as error:
        report.miss(str(error), f"all {kind}")
