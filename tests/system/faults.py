"""What can be wrong with a Redis: each a context, in which it is wrong and after which it is not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.exceptions as rx

from tests.system.installation import LEASE, RedisServer
from tests.system.journal import until

# Seconds that a trouble lasts, unless a test wants more: by then every lease has run out.
LONG = 2 * LEASE


@asynccontextmanager
async def restarted(redis: RedisServer) -> AsyncIterator[None]:
    """As an upgrade does it."""
    redis.stop()
    yield
    redis.start()
    await until(redis.answers, "Redis is back")


@asynccontextmanager
async def killed(redis: RedisServer, seconds: float = LONG) -> AsyncIterator[None]:
    redis.kill()
    yield
    await asyncio.sleep(seconds)
    redis.start()
    await until(redis.answers, "Redis is back")


@asynccontextmanager
async def loading(redis: RedisServer) -> AsyncIterator[None]:
    """It reads its append-only file, slowly, and answers LOADING meanwhile."""
    pipe = redis.client.pipeline(transaction=False)
    for number in range(16_000):  # eight seconds: a gateway asks for three before it says that Redis is away
        pipe.set(f"ballast:{number}", "x", ex=600)
    pipe.execute()
    redis.kill()
    usual, redis.argv = redis.argv, [*redis.argv, "--key-load-delay", "500"]  # us for each command of the file
    redis.start()

    def is_loading() -> bool:
        try:
            redis.client.get("ballast:0")
        except rx.BusyLoadingError:
            return True
        except rx.ConnectionError:  # not listening yet
            return False
        raise AssertionError("it was quicker than we could look")

    await until(is_loading, "Redis loads")
    yield
    redis.argv = usual
    await until(redis.answers, "Redis has loaded")


@asynccontextmanager
async def frozen(redis: RedisServer, seconds: float = LONG) -> AsyncIterator[None]:
    """It neither answers nor hangs up, as behind a network that is cut."""
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        yield
        await asyncio.sleep(seconds)
    finally:
        os.kill(redis.pid, signal.SIGCONT)


@asynccontextmanager
async def readonly(redis: RedisServer) -> AsyncIterator[None]:
    """A replica, of nobody who is there: READONLY, and UNBLOCKED for whoever waits at a pop."""
    redis.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    await asyncio.sleep(LONG)
    redis.client.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def unable_to_save(redis: RedisServer) -> AsyncIterator[None]:
    """MISCONF: it cannot write its snapshot, and refuses all writes until it can."""
    redis.client.config_set("save", "3600 1")
    in_its_way = redis.data / "dump.rdb"
    (in_its_way / "x").mkdir(parents=True)

    async def saved(outcome: str) -> None:
        redis.client.bgsave(schedule=True)
        await until(
            lambda: redis.client.info("persistence")["rdb_last_bgsave_status"] == outcome, f"a save is {outcome}"
        )

    await saved("err")
    yield
    await asyncio.sleep(LONG)
    (in_its_way / "x").rmdir()
    in_its_way.rmdir()
    await saved("ok")
    redis.client.config_set("save", "")
