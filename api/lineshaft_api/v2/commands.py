"""Carries out the commands of protocol v2."""

from typing import Any, Protocol

from aiohttp import web

from lineshaft.errors import Invalid, LineshaftError, Unavailable
from lineshaft.ids import uuid7
from lineshaft_api.errors import status_of

from .envelope import Command, Failure, read_params
from .filter import read_filter
from .run_commands import InputRespond, RunStart, respond, start_run

_NO_SESSION = "There is no run that this connection has seen."


class Session(Protocol):
    """What the commands need of a connection: its subscriptions, and what it has seen of the thread."""

    async def subscribe(self, params: dict[str, Any]) -> Any:
        """Begin to send what the params describe. Raises Invalid."""

    async def unsubscribe(self, params: dict[str, Any]) -> Any:
        """End a subscription."""

    async def reconnect(self, params: dict[str, Any]) -> Any:
        """Subscribe from behind an event on. Raises Invalid."""

    def tree(self) -> Any:
        """The graphs of the run."""

    def asked_at(self, interrupt_id: str) -> list[str] | None:
        """The namespace of an interrupt, if this connection has seen it."""


class NoSession:
    """The connection of a single command: what is subscribed on it ends with it."""

    async def subscribe(self, params: dict[str, Any]) -> Any:
        """Raises Invalid."""
        read_filter(params)
        return {"subscription_id": uuid7(), "replayed_events": 0}

    async def unsubscribe(self, params: dict[str, Any]) -> Any:
        """There is none."""
        return no_such_subscription(params)

    async def reconnect(self, params: dict[str, Any]) -> Any:
        """Raises Invalid."""
        read_filter(params)
        return Failure("no_such_run", _NO_SESSION)

    def tree(self) -> Any:
        """There is none."""
        return Failure("no_such_run", _NO_SESSION)

    def asked_at(self, interrupt_id: str) -> list[str] | None:  # noqa: ARG002 - as declared above
        """It has seen nothing."""
        return None


def no_such_subscription(params: dict[str, Any]) -> Failure:
    """The reply to who names none that there is."""
    return Failure("no_such_subscription", f"There is no subscription {params.get('subscription_id')!r}.")


async def carry_out(request: web.Request, thread_id: str, session: Session, command: Command) -> Any:
    """The result of a command, or its Failure. Raises Unavailable."""
    try:
        return await _carry_out(request, thread_id, session, command)
    except Unavailable:
        raise
    except Invalid as error:
        return Failure("invalid_argument", str(error))
    except LineshaftError as error:
        return Failure("unknown_error", f"{status_of(error)}: {error}")


async def _carry_out(request: web.Request, thread_id: str, session: Session, command: Command) -> Any:
    match command.method:
        case "run.start":
            return await start_run(request, thread_id, read_params(command, RunStart))
        case "input.respond":
            params = read_params(command, InputRespond)
            for answer in params.answers():
                if session.asked_at(answer.interrupt_id) not in (None, answer.namespace):
                    return Failure("no_such_interrupt", "Interrupt namespace does not match the pending interrupt.")
            return await respond(request, thread_id, params)
        case "agent.getTree":
            return session.tree()
        case "subscription.subscribe":
            return await session.subscribe(read_params(command, dict[str, Any]))
        case "subscription.unsubscribe":
            return await session.unsubscribe(read_params(command, dict[str, Any]))
        case "subscription.reconnect":
            return await session.reconnect(read_params(command, dict[str, Any]))
        case _:
            return Failure("unknown_command", f"There is no command {command.method!r}.")
