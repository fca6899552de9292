"""The connection that everything in an event loop shares, and what is taken for its loss."""

import asyncio
import time
from collections.abc import Callable

import pytest

from lineshaft.config.settings import Settings
from lineshaft.loop import loop_factory
from lineshaft.redis import wire
from lineshaft.redis.client import Client


@pytest.mark.parametrize("factory", [None, loop_factory()], ids=["asyncio", "uvloop"])
def test_a_loop_that_was_blocked_does_not_take_redis_for_dead(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, factory: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    """What it has asked before could not be sent, or not be read, meanwhile."""
    # Seconds: a busy machine's Redis answers within them, a loop that is blocked for longer does not read that.
    monkeypatch.setattr(wire, "_SILENCE", 1.0)
    monkeypatch.setattr(wire, "_LATE", 0.05)

    async def connection() -> None:
        client = Client(settings)
        try:
            before = await client.command("CLIENT", "ID")
            asking = asyncio.create_task(client.command("CLIENT", "ID"))
            await asyncio.sleep(0)  # it is about to be sent
            time.sleep(1.5)  # noqa: ASYNC251 - a graph's code that blocks the loop
            assert await asking == before
            assert await client.command("CLIENT", "ID") == before
        finally:
            await client.close()  # uvloop would wait for the connection for ever

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(connection())
