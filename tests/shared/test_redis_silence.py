"""A Redis that neither answers nor hangs up: frozen, or behind a network that swallows what is sent."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions as rx

from lineshaft.config.settings import Settings
from lineshaft.errors import Unavailable
from lineshaft.events.subscription import next_message
from lineshaft.redis.client import Client
from tests.system.installation import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Client]:
    client = Client(Settings(redis_uri=server.uri), patience=0.3)
    yield client
    await client.close()


@pytest.mark.parametrize("connected", [False, True])
async def test_callers_at_a_silent_redis_fail_together_and_not_one_after_another(
    server: RedisServer, client: Client, connected: bool
) -> None:
    if connected:
        await client.command("PING")
    os.kill(server.pid, signal.SIGSTOP)
    began = time.monotonic()
    calls = [client.script("wake", queue="runs") for _ in range(10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 10
    # Five seconds are one silence; each waiting for the one before would take fifty.
    assert time.monotonic() - began < 20
    os.kill(server.pid, signal.SIGCONT)
    assert await client.script("wake", queue="runs") == 1


async def test_a_caller_that_goes_while_the_connection_is_made_leaves_it_to_the_others(
    server: RedisServer, client: Client
) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    going, staying = (asyncio.create_task(client.command("PING")) for _ in range(2))
    await asyncio.sleep(0)  # both wait for the connection
    going.cancel()
    assert not (await asyncio.wait({staying}, timeout=0.1))[0]
    os.kill(server.pid, signal.SIGCONT)
    assert await staying == b"PONG"
    assert going.cancelled()


async def test_who_only_listens_notices_that_nobody_is_there_any_more(server: RedisServer, client: Client) -> None:
    blocking = client.blocking()
    async with blocking.pubsub() as pubsub:
        await pubsub.subscribe("news")
        assert (await next_message(pubsub))["type"] == "subscribe"
        hearing = asyncio.create_task(next_message(pubsub, quiet=0.1, silence=5))
        # It asks, is answered, and goes on listening; what is published is heard all the same.
        assert not (await asyncio.wait({hearing}, timeout=0.5))[0]
        await client.command("PUBLISH", "news", "one")
        assert (await hearing)["data"] == b"one"
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(rx.TimeoutError, match="no sign of life"):
            await next_message(pubsub, quiet=0.1, silence=0.2)
        os.kill(server.pid, signal.SIGCONT)
        assert (await next_message(pubsub))["type"] == "subscribe"
        await client.command("PUBLISH", "news", "two")
        assert (await next_message(pubsub))["data"] == b"two"
    await blocking.aclose()


async def test_a_connection_that_is_lost_before_it_is_used_is_made_again(client: Client) -> None:
    calling = asyncio.create_task(client.command("PING"))
    while client._wire._session is None:  # noqa: ASYNC110 - the very turn of the loop in which it is made
        await asyncio.sleep(0)
    client._wire._session.close(rx.ConnectionError("lost"))
    assert await asyncio.wait_for(calling, 30) == b"PONG"  # seconds; nobody would ever answer the lost one


async def test_a_cancellation_is_not_lost_at_any_moment(client: Client) -> None:
    """Connecting and subscribing, cancelled after every number of turns that it may take of the loop."""
    for turns in range(120):
        blocking = client.blocking()

        async def listen(blocking: Any = blocking) -> None:
            async with blocking.pubsub() as pubsub:
                await pubsub.subscribe("news")
                while True:
                    await next_message(pubsub)

        listening = asyncio.create_task(listen())
        for _ in range(turns):
            await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait({listening}, timeout=2)
        assert listening.cancelled(), turns
        await blocking.aclose()
