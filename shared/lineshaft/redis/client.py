"""The connection to Redis: pools, scripts by name, retries while Redis is away, and the check at start."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import redis.asyncio
import redis.exceptions as rx

from lineshaft.config.settings import Settings
from lineshaft.errors import (
    BadRequest,
    ConfigError,
    Conflict,
    Fenced,
    Invalid,
    LineshaftError,
    NotFound,
    TooMany,
    Unavailable,
)
from lineshaft.telemetry import log
from lineshaft.telemetry.metrics import FENCED, REDIS_ERRORS

from . import script
from .keys import Keys
from .uri import pool_options, shown
from .wire import Wire

T = TypeVar("T")
logger = log.get("redis")

# Answers of a Redis that is starting, failing over or full: the same command may work soon.
# redis-py has classes of its own for some, and cuts the first word off their text.
_TRANSIENT = (
    rx.ConnectionError, rx.TimeoutError, rx.ReadOnlyError, rx.OutOfMemoryError, rx.MasterDownError, rx.TryAgainError,
    OSError,
)  # fmt: skip
_TRANSIENT_PREFIXES = ("UNBLOCKED", "NOREPLICAS", "BUSY ", "MISCONF")
# Seconds that a blocking pop waits at most. One that lasts much longer waits for a Redis that has gone silently, by a
# network that swallows packets or a primary that froze and was replaced: nothing else would ever end it.
BLOCK_SECONDS = 5.0
# Seconds. Longer than any of our scripts runs; without it a black-holed connection hangs for ever.
_SILENCE = 5.0
# Scripts refuse with an error whose first word is one of these.
_REFUSALS: dict[str, Callable[[str], LineshaftError]] = {
    "FENCED": Fenced,
    "NOTFOUND": NotFound,
    "CONFLICT": Conflict,
    "INVALID": Invalid,
    "BADREQUEST": BadRequest,
    "TOOMANY": TooMany,
    # Seconds: memory comes back as runs end and events expire, or when somebody sees to it.
    "FULL": partial(Unavailable, retry_after=10),
    "DRAINING": partial(Unavailable, retry_after=60),
}
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ((rx.TimeoutError, TimeoutError), "timeout"),
    (rx.ReadOnlyError, "readonly"),
    (rx.OutOfMemoryError, "memory"),
    ((rx.ConnectionError, OSError), "connection"),
)
_FULL = "full: its maxmemory is used up. Runs under way go on; for anything new delete threads, or raise maxmemory"


class Client:
    """Redis as the rest of Lineshaft sees it.

    `patience` is how long (seconds) a call outlasts a Redis that is away: short in a gateway, which then answers 503;
    unbounded in a worker, whose writes wait, so that a Redis error is never raised into a graph. `longest_pause`
    (seconds) bounds the backoff: a fleet must not hammer a Redis that comes back, but leases must not run out for it.
    Every script is safe to repeat after a lost reply.
    """

    def __init__(self, settings: Settings, *, patience: float = 3.0, longest_pause: float | None = None) -> None:
        self.settings = settings
        self.patience = patience
        # Well within a lease: that long nobody is reaped after a silence, and all owners must renew.
        self.longest_pause = longest_pause or min(1.0, settings.lineshaft_lease_seconds / 5)
        self.keys = Keys(settings.redis_key_prefix)
        self.scripts = script.load_all(self.keys)
        self.redis = _connect(settings, blocking=False)
        self._wire = Wire(self.redis.connection_pool)

    def blocking(self) -> "redis.asyncio.Redis":
        """A separate client for pub/sub and for blocking pops, of BLOCK_SECONDS at most."""
        return _connect(self.settings, blocking=True)

    async def close(self) -> None:
        """Close all connections."""
        self._wire.close()
        await self.redis.aclose()

    async def script(self, name: str, **args: Any) -> Any:
        """Run one script. Raises our errors for its refusals, Unavailable when Redis stays away beyond `patience`."""
        chosen = self.scripts[name]
        argv = chosen.encode(args)

        async def call() -> Any:
            (answer,) = await self._wire.send(("EVALSHA", chosen.sha, 0, *argv))
            if isinstance(answer, rx.NoScriptError):
                (answer,) = await self._wire.send(("EVAL", chosen.source, 0, *argv))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return await self.patiently(call, name)

    async def after(self, commands: list[tuple[Any, ...]], name: str, **args: Any) -> Any:
        """Run plain commands and then a script in one round trip; returns the script's answer.

        For large values: the commands write immutable slices under keys that nobody reads until the script names them.
        They must be safe to repeat. If one of them fails the script's answer is not used.
        """
        chosen = self.scripts[name]
        argv = chosen.encode(args)

        async def call() -> Any:
            *answers, last = await self._wire.send(*commands, ("EVALSHA", chosen.sha, 0, *argv))
            if isinstance(last, rx.NoScriptError):
                (last,) = await self._wire.send(("EVAL", chosen.source, 0, *argv))
            for answer in (*answers, last):
                if isinstance(answer, Exception):
                    raise answer
            return last

        return await self.patiently(call, name)

    async def command(self, *parts: Any) -> Any:
        """Run one plain command, which must be safe to repeat: `await client.command("HGET", key, field)`.

        The answer is as Redis gives it: bytes, integers, lists.
        """
        (answer,) = await self.commands(parts)
        return answer

    async def members(self, key: str) -> list[bytes]:
        """All members of a set of any size, each once: those that are there all the while for certain."""
        found: dict[bytes, None] = {}
        cursor = b"0"
        while True:
            cursor, page = await self.command("SSCAN", key, cursor, "COUNT", 1000)
            found |= dict.fromkeys(page)
            if cursor == b"0":
                return list(found)

    async def commands(self, *commands: tuple[Any, ...], atomic: bool = False) -> list[Any]:
        """Run several plain commands in one round trip, `atomic` as one transaction. They must be safe to repeat."""

        async def call() -> list[Any]:
            if atomic:
                *queued, last = await self._wire.send(("MULTI",), *commands, ("EXEC",))
                # A command that Redis would not even queue says more than the transaction that fails for it.
                answers: list[Any] = [*queued, last] if isinstance(last, Exception) else last
            else:
                answers = await self._wire.send(*commands)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers

        return await self.patiently(call, str(commands[0][0]))

    async def patiently(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Repeat `call` while Redis is away, with backoff and jitter. Raises Unavailable after `patience` seconds."""
        deadline = time.monotonic() + self.patience
        delay = min(0.05, self.longest_pause)  # seconds; doubled up to the longest
        while True:
            try:
                return await call()
            except rx.ResponseError as error:
                word, _, text = str(error).partition(" ")
                if refusal := _REFUSALS.get(word):
                    if refusal is Fenced:
                        FENCED.labels(what).inc()
                    raise refusal(text) from None
                if not is_transient(error):
                    raise
                failure: Exception = error
                if isinstance(error, rx.ReadOnlyError):
                    # A replica sits behind these connections: find the primary again.
                    self._wire.drop()
                    await self.redis.connection_pool.disconnect(inuse_connections=False)
            except (rx.ConnectionError, rx.TimeoutError, OSError) as error:
                if isinstance(error, rx.AuthenticationError):
                    raise
                failure = error
            REDIS_ERRORS.labels(_reason(failure)).inc()
            if time.monotonic() + delay > deadline:
                why = _FULL if isinstance(failure, rx.OutOfMemoryError) else f"not available: {type(failure).__name__}"
                raise Unavailable(f"Redis is {why}", retry_after=2) from failure
            logger.warning("redis is away, trying again", what=what, error=str(failure))
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(self.longest_pause, delay * 2)


def _reason(error: Exception) -> str:
    """Why a round trip failed, in a word."""
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    return "other"


def is_transient(error: BaseException) -> bool:
    """Whether the same command may work in a moment."""
    if isinstance(error, rx.AuthenticationError):
        return False
    if isinstance(error, _TRANSIENT):
        return True
    return isinstance(error, rx.ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)


def _connect(settings: Settings, *, blocking: bool) -> "redis.asyncio.Redis":
    # A pop that waits is answered in time by a Redis that lives: what it has popped is not lost by our giving up.
    options = pool_options(settings, silence=BLOCK_SECONDS + _SILENCE if blocking else _SILENCE)
    # Seconds that a call waits for one of these connections; only more of them than allowed have to.
    pool = redis.asyncio.BlockingConnectionPool(timeout=5, **options)
    return redis.asyncio.Redis.from_pool(pool)  # from_pool: closing the client closes the pool too


async def check(client: Client) -> str:
    """Make sure that this Redis can keep runs; returns its name and version (`Valkey 9.1.2`).

    Raises ConfigError: not reachable, older than Redis 7.0 / Valkey 7.2, or a maxmemory policy that evicts.
    """
    try:
        info = await client.redis.info("server")
        memory = await client.redis.info("memory")
        persistence = await client.redis.info("persistence")
    except (rx.RedisError, OSError) as error:
        raise ConfigError(f"Redis at {shown(client.settings.redis_uri)} is not reachable: {error}") from None
    # Valkey reports a Redis version for old clients; its own name and version stand beside it.
    is_valkey = info.get("server_name") == "valkey"
    version = str(info["valkey_version"] if is_valkey else info["redis_version"])
    name = f"{'Valkey' if is_valkey else 'Redis'} {version}"
    oldest = (7, 2) if is_valkey else (7, 0)
    if tuple(int(part) for part in version.split(".")[:2]) < oldest:
        raise ConfigError(f"{name} is too old: Lineshaft needs Redis >= 7.0 or Valkey >= 7.2")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ConfigError(f"{name} evicts keys (maxmemory-policy {policy}): runs would vanish. Set it to noeviction")
    if not persistence.get("aof_enabled"):
        # Not refused: some managed services keep their data without showing how.
        logger.warning("appendonly is off: what Redis holds, queued runs and threads too, may die with it", redis=name)
    return name
