"""The connection to Redis: pools, scripts by name, retries while Redis is away, and the check at start."""

import asyncio
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis.asyncio
import redis.exceptions as rx

from . import log, script
from .errors import BadRequest, ConfigError, Conflict, Fenced, Invalid, LineshaftError, NotFound, TooMany, Unavailable
from .keys import Keys
from .settings import Settings
from .wire import Wire

T = TypeVar("T")
logger = log.get("redis")

# Answers of a Redis that is starting, failing over or full: the same command may work soon.
# redis-py has classes of its own for some, and cuts the first word off their text.
_TRANSIENT = (rx.ConnectionError, rx.TimeoutError, rx.ReadOnlyError, rx.OutOfMemoryError, OSError)
_TRANSIENT_PREFIXES = ("UNBLOCKED", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "MISCONF")
# Scripts refuse with an error whose first word is one of these.
_REFUSALS: dict[str, type[LineshaftError]] = {
    "FENCED": Fenced,
    "NOTFOUND": NotFound,
    "CONFLICT": Conflict,
    "INVALID": Invalid,
    "BADREQUEST": BadRequest,
    "TOOMANY": TooMany,
}


class Client:
    """Redis as the rest of Lineshaft sees it.

    `patience` is how long (seconds) a call outlasts a Redis that is away: short in a gateway, which then answers 503;
    unbounded in a worker, whose writes wait, so that a Redis error is never raised into a graph.
    Every script is safe to repeat after a lost reply.
    """

    def __init__(self, settings: Settings, *, patience: float = 3.0) -> None:
        self.settings = settings
        self.patience = patience
        self.keys = Keys(settings.redis_key_prefix)
        self.scripts = script.load_all(self.keys)
        self.redis = _connect(settings, blocking=False)
        self._wire = Wire(self.redis.connection_pool)

    def blocking(self) -> "redis.asyncio.Redis":
        """A separate client for blocking pops and pub/sub: no read timeout, which would lose what a pop returned."""
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
        delay = 0.05  # seconds; doubled up to 1 s, so that a fleet does not hammer a Redis that comes back
        while True:
            try:
                return await call()
            except rx.ResponseError as error:
                word, _, text = str(error).partition(" ")
                if refusal := _REFUSALS.get(word):
                    raise refusal(text) from None
                if not is_transient(error):
                    raise
                failure: Exception = error
                if isinstance(error, rx.ReadOnlyError):
                    # A replica sits behind these connections: find the primary again.
                    self._wire.close()
                    await self.redis.connection_pool.disconnect(inuse_connections=False)
            except (rx.ConnectionError, rx.TimeoutError, OSError) as error:
                if isinstance(error, rx.AuthenticationError):
                    raise
                failure = error
            if time.monotonic() + delay > deadline:
                why = "full" if isinstance(failure, rx.OutOfMemoryError) else f"not available: {type(failure).__name__}"
                raise Unavailable(f"Redis is {why}", retry_after=2) from failure
            logger.warning("redis is away, trying again", what=what, error=str(failure))
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(1.0, delay * 2)


def is_transient(error: BaseException) -> bool:
    """Whether the same command may work in a moment."""
    if isinstance(error, rx.AuthenticationError):
        return False
    if isinstance(error, _TRANSIENT):
        return True
    return isinstance(error, rx.ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)


def _connect(settings: Settings, *, blocking: bool) -> "redis.asyncio.Redis":
    options: dict[str, Any] = {
        "socket_connect_timeout": settings.redis_connect_timeout,
        "health_check_interval": settings.redis_health_check_interval,
        # Seconds. Longer than any of our scripts runs; without it a black-holed connection hangs for ever. A blocking
        # pop must not have one: a timeout on our side loses what the server has popped.
        "socket_timeout": None if blocking else 5.0,
        "max_connections": settings.redis_max_connections,
    }
    if not settings.redis_uri.startswith("unix://"):
        options["socket_keepalive"] = True
    if settings.redis_uri.startswith("rediss://"):
        options["ssl_cert_reqs"] = ssl.CERT_REQUIRED
        options["ssl_check_hostname"] = True
    try:
        pool = redis.asyncio.BlockingConnectionPool.from_url(settings.redis_uri, timeout=5, **options)
    except ValueError as error:
        raise ConfigError(f"REDIS_URI {_shown(settings.redis_uri)}: {error}") from None
    return redis.asyncio.Redis.from_pool(pool)  # from_pool: closing the client closes the pool too


def _shown(uri: str) -> str:
    """A URI without its password, for messages."""
    return re.sub("//.*@", "//***@", uri)


async def check(client: Client) -> str:
    """Make sure that this Redis can keep runs; returns its name and version (`Valkey 9.1.2`).

    Raises ConfigError: not reachable, older than Redis 7.0 / Valkey 7.2, or a maxmemory policy that evicts.
    """
    try:
        info = await client.redis.info("server")
        memory = await client.redis.info("memory")
        persistence = await client.redis.info("persistence")
    except (rx.RedisError, OSError) as error:
        raise ConfigError(f"Redis at {_shown(client.settings.redis_uri)} is not reachable: {error}") from None
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
