"""Whether a process lives, has started and is ready for work: what orchestrators decide by.

A process that does not live is killed, so only its own event loop counts there: a Redis that is away, or a graph that
blocks a worker's child, would not be better for a new process, and all processes would die at once. One that is not
ready gets no requests.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import redis.exceptions
from msgspec import Struct

from lineshaft.errors import LineshaftError, Unavailable
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

from .loop_watch import LoopWatch

logger = log.get("health")

Check = Callable[[], str]  # what is wrong, '' if nothing is; called on the loop

_FRESH_SECONDS = 2.0  # one question to Redis for all who ask
_PATIENCE = 0.8  # seconds for its answer: orchestrators wait for one
_AGAIN_SECONDS = 1.0  # between two looks for a Redis that is not there yet
_OK = "ok"


class Readiness(Struct):
    """What was looked at, and `ok` or what is wrong."""

    ready: bool
    checks: dict[str, str]

    def require(self) -> "Readiness":
        """Raises Unavailable that says what is wrong."""
        if not self.ready:
            wrong = [f"{name}: {found}" for name, found in self.checks.items() if found != _OK]
            raise Unavailable(f"Not ready ({'; '.join(wrong)})")
        return self


class Health:
    """The health of one process."""

    def __init__(self, client: Client, watch: LoopWatch, checks: Mapping[str, Check]) -> None:
        self.watch = watch
        self.has_started = False  # set once
        self._waits_for_redis = False
        self._client = client
        self._checks = checks
        self._lock = asyncio.Lock()
        self._redis = _OK
        self._redis_until = 0.0

    def require_life(self) -> None:
        """Raises Unavailable if the event loop stands still. Any thread may ask."""
        stuck, limit = self.watch.stuck, self._client.settings.lineshaft_livez_seconds
        if stuck > limit:
            raise Unavailable(f"The event loop has not turned for {stuck:.0f} s (limit: {limit:.0f} s)")

    def require_start(self) -> None:
        """Raises Unavailable until the process has started. Any thread may ask.

        One that waits for Redis has done what it can: killed for it, it would come back ever more rarely.
        """
        if not (self.has_started or self._waits_for_redis):
            raise Unavailable("Still starting")

    async def await_redis(self) -> None:
        """Wait for a Redis that is away when the process starts, if an orchestrator watches it.

        Without one it ends with a sentence, for the person who has started it.
        """
        while self._client.settings.lineshaft_probes_port and await self._is_away():
            self._waits_for_redis = True
            logger.warning("Redis is away, waiting for it")
            await asyncio.sleep(_AGAIN_SECONDS)
        self._waits_for_redis = False

    async def _is_away(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._client.redis.ping()
        except redis.exceptions.AuthenticationError:
            return False  # it will not become better by waiting; whoever asks next says so
        except (redis.exceptions.RedisError, OSError):  # a TimeoutError is an OSError
            return True
        return False

    async def readiness(self) -> Readiness:
        """Look at everything that work depends on."""
        found = {name: check() or _OK for name, check in self._checks.items()}
        found["redis"] = await self._ask_redis()
        return Readiness(all(what == _OK for what in found.values()), found)

    async def _ask_redis(self) -> str:
        async with self._lock:
            if time.monotonic() >= self._redis_until:
                self._redis = await self._ping()
                self._redis_until = time.monotonic() + _FRESH_SECONDS
            return self._redis

    async def _ping(self) -> str:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._client.command("PING")
        except TimeoutError:
            return f"no answer within {_PATIENCE} s"
        except (LineshaftError, redis.exceptions.RedisError) as error:
            return str(error)
        return _OK
