"""A client whose connection fails at one call: before Redis hears it, or after Redis has carried it out."""

import asyncio
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import redis.exceptions as rx

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.redis.wire import Wire

Moment = Literal["before", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "after")


class FailingWire:
    """Stands before a client's wire and counts what is sent; a send is one round trip, of one command or of several.

    The connection goes with the call that fails, and so do the answers that others still wait for on it.
    """

    def __init__(self, client: Client) -> None:
        self._wire: Wire = client._wire
        self._moment: Moment = "before"
        self._at = 0
        self._dies = False
        self.dead = asyncio.Event()
        self._buried = asyncio.Event()
        self.sent: list[str] = []
        client._wire = self  # type: ignore[assignment]  # it has the same methods

    def fail(self, at: int, moment: Moment, *, dies: bool = False) -> None:
        """The `at`-th call from now fails, counted from 1. If it `dies`, that one and all later ones never return."""
        self._at, self._moment, self._dies = at, moment, dies
        self.dead.clear()
        self.sent.clear()

    @property
    def failed(self) -> bool:
        """Whether there were enough calls for one to fail."""
        return 0 < self._at <= len(self.sent)

    async def send(self, *commands: tuple[Any, ...]) -> list[Any]:
        if self.dead.is_set():
            await self._rest()
        self.sent.append(str(commands[-1][0]))
        fails = len(self.sent) == self._at
        if fails and self._moment == "before":
            await self._fail()
        answers = await self._wire.send(*commands)
        if fails:
            await self._fail()
        return answers

    async def _fail(self) -> None:
        if self._dies:
            self.dead.set()
            await self._rest()
        self._wire.close()
        raise rx.ConnectionError(f"call {self._at} fails {self._moment} Redis has it")

    def bury(self) -> None:
        """Who waits for the dead need not wait any more: tasks that are cancelled come to their end."""
        self._buried.set()

    async def _rest(self) -> None:
        await self._buried.wait()
        raise asyncio.CancelledError

    def close(self) -> None:
        self._wire.close()


def failing(settings: Settings, *, patience: float = 3.0) -> tuple[Client, FailingWire]:
    """A client, and what makes it fail."""
    client = Client(settings, patience=patience)
    return client, FailingWire(client)


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before a call is repeated: what is repeated is the question, not when."""
    monkeypatch.setattr("lineshaft.redis.client.random", SimpleNamespace(random=lambda: -0.5))
