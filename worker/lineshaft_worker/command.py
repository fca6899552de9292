"""A client's command as langgraph takes it."""

import re
from typing import Any

from langgraph.types import Command, Send
from msgspec import UNSET

from lineshaft.runs import request as run_request

# langgraph takes a resume value for a map of answers if each of its keys looks like an interrupt's id.
_INTERRUPT_ID = re.compile(r"[0-9a-f]{32}")


def command_of(given: run_request.Command) -> Command[Any] | None:
    """The command for langgraph; None if nothing is asked for."""
    update = None if given.update is UNSET else given.update
    resume = None if given.resume is UNSET else given.resume
    goto = _targets(given.goto)
    if not update and resume is None and not goto:
        return None
    return Command(update=update, resume=resume, goto=goto)


def names_interrupts(resume: Any) -> bool:
    """Whether a resume value is a map of interrupt ids to answers."""
    return isinstance(resume, dict) and all(isinstance(key, str) and _INTERRUPT_ID.fullmatch(key) for key in resume)


def with_resume(command: Command[Any], resume: Any, *, steer: bool = True) -> Command[Any] | None:
    """The command with another resume value; without `steer` without its update and goto. None if nothing is left."""
    if not steer:
        return None if resume is None else Command(resume=resume)
    if resume is None and not command.update and not command.goto:
        return None
    return Command(update=command.update, resume=resume, goto=command.goto)


def _targets(goto: Any) -> list[str | Send]:
    if goto is UNSET or goto is None:
        return []
    targets = goto if isinstance(goto, list) else [goto]
    return [Send(t.node, t.input) if isinstance(t, run_request.Send) else t for t in targets]
