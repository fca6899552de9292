"""How long Redis was held up by one command: its own slow log, with the names of our scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis.asyncio

from lineshaft.cli.data_directory import Holder
from lineshaft.redis.keys import Keys
from lineshaft.redis.script import load_all

_FROM = 500  # microseconds: shorter ones are never what is looked for
_KEPT = 100_000  # entries: more than any scenario makes


class Longest(NamedTuple):
    """The command that held Redis up for longest."""

    name: str
    ms: float


class RedisWatch:
    """The slow log of one Redis."""

    def __init__(self, connection: "redis.asyncio.Redis") -> None:
        self._redis = connection
        self._scripts = list(load_all(Keys()).values())

    async def reset(self) -> None:
        """Forget what was before."""
        await self._redis.execute_command("SLOWLOG", "RESET")

    async def longest(self) -> Longest:
        """The longest command since the last reset."""
        entries = await self._redis.slowlog_get(_KEPT)
        if not entries:
            return Longest(f"none over {_FROM / 1000:g} ms", 0.0)
        slowest = max(entries, key=lambda entry: int(entry["duration"]))
        return Longest(self._name(bytes(slowest["command"])), slowest["duration"] / 1000)

    def _name(self, command: bytes) -> str:
        """Of a script its own name, of anything else the command's."""
        word, _, rest = command.decode("latin-1").partition(" ")

        if word.upper() == "EVAL":  # a script's second line is its name
            return rest.split("\n", 2)[1].removeprefix("-- ")
        return next((script.name for script in self._scripts if rest.startswith(script.sha)), word)


def socket_of(data: Path) -> str:
    """Where the embedded Redis of a data directory listens."""
    holder = msgspec.json.decode((data / "lock").read_bytes(), type=Holder)
    return f"{holder.runtime}/redis.sock"


@asynccontextmanager
async def watching(data: Path) -> AsyncIterator[RedisWatch]:
    """Watch the embedded Redis of a data directory."""
    connection: Any = redis.asyncio.Redis(unix_socket_path=socket_of(data))
    async with connection:
        await connection.config_set("slowlog-log-slower-than", _FROM)
        await connection.config_set("slowlog-max-len", _KEPT)
        yield RedisWatch(connection)
