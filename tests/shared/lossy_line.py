"""A gateway's connection to Redis of which each call in turn fails: before Redis has it, or after Redis has done it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client

from .failing_wire import MOMENTS, FailingWire, at_once, failing
from .runs import Desk

Call = Callable[[Client], Awaitable[Any]]


class Line:
    """A gateway's client that fails, and a desk with one that does not."""

    def __init__(self, desk: Desk, client: Client, wire: FailingWire) -> None:
        self.desk = desk
        self._client = client
        self._wire = wire

    async def at_every_call(
        self, scene: Callable[[str], Awaitable[tuple[Call, Callable[[Any], Awaitable[None]]]]]
    ) -> None:
        """For each call that `scene`'s act makes, and both moments: a new thread, the act, and what must hold then."""
        for moment in MOMENTS:
            at = 0
            while True:
                at += 1
                act, check = await scene(await self.desk.open())
                self._wire.fail(at, moment)
                await check(await act(self._client))
                if not self._wire.failed:
                    break
            assert at > 1


@asynccontextmanager
async def lossy_line(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    """A line, while failed calls are repeated without a pause."""
    at_once(monkeypatch)
    desk = Desk(client)
    other, wire = failing(settings)
    yield Line(desk, other, wire)
    await other.close()
    await desk.leave()
