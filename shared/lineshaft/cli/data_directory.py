"""The directory in which `dev` keeps the data of its embedded Redis, for one `dev` at a time."""

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from lineshaft.errors import ConfigError

# Seconds that a new `dev` waits for the directory: a little more than an old one takes to stop.
PATIENCE = 6.0
# Bytes. The system's limit for a socket's path is 108 (104 on macOS), with the zero at its end.
_LONGEST_SOCKET_PATH = 103


class Holder(msgspec.Struct):
    """What the lock file says about who has the directory."""

    pid: int
    runtime: str  # where the socket of its Redis is


class DataDirectory:
    """A locked data directory, and the short-lived one beside it for the socket.

    The lock is an flock. The embedded Redis inherits its descriptor, so that it holds until both processes are gone:
    two servers on the same files would both start, and destroy them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock_fd = -1
        self._holder = Holder(pid=os.getpid(), runtime="")

    @property
    def is_locked(self) -> bool:
        """Whether it is ours."""
        return self._holder.runtime != ""

    @property
    def redis(self) -> Path:
        """The folder of the append-only file."""
        return self.path.resolve() / "redis"

    @property
    def log(self) -> Path:
        """What the server has to say."""
        return self.path / "redis.log"

    @property
    def server_pid(self) -> Path:
        """Where the server writes its process id, for the message of whoever finds the directory locked."""
        return self.path.resolve() / "redis.pid"

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return Path(self._holder.runtime, "redis.sock")

    async def lock(self, say: Callable[[str], None]) -> None:
        """Take the directory, waiting a little for a `dev` that is stopping. Raises ConfigError if it stays in use."""
        try:
            self._open()
            await self._wait_for_lock(say)
        except OSError as error:
            raise ConfigError(f"data directory {self.path}: {error.strerror}") from None
        self.log.unlink(missing_ok=True)  # it tells about one `dev` only
        self._clear_stale_runtime()
        self._holder.runtime = _runtime_directory()
        self._write()

    def release(self) -> None:
        """Remove the socket's directory and give up the lock; call it when the server is gone."""
        if self.lock_fd < 0:
            return
        self._remove(self._holder.runtime)
        os.close(self.lock_fd)
        self.lock_fd = -1

    def _open(self) -> None:
        self.redis.mkdir(parents=True, exist_ok=True)
        ignore = self.path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        self.lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def _wait_for_lock(self, say: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        said = False
        while not self._try_lock():
            if loop.time() > deadline:
                raise ConfigError(f"data directory {self.path} is in use by pid {self._user()}")
            if not said:
                say(f"data directory {self.path} is in use by pid {self._user()}, waiting for it to stop...")
                said = True
            await asyncio.sleep(0.05)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _read(self) -> Holder | None:
        # Empty or cut off while somebody writes it; it only serves messages and cleaning.
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(os.pread(self.lock_fd, 4096, 0), type=Holder)
        return None

    def _write(self) -> None:
        text = msgspec.json.encode(self._holder)
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, text, 0)

    def _user(self) -> str:
        holder = self._read()
        if holder and _is_alive(holder.pid):
            return str(holder.pid)
        with contextlib.suppress(OSError):  # its Redis, which is still stopping
            return self.server_pid.read_text().strip()
        return "unknown"

    def _clear_stale_runtime(self) -> None:
        """A `dev` that was killed could not remove its own. Nobody uses it: we have the lock."""
        if stale := self._read():
            self._remove(stale.runtime)

    @staticmethod
    def _remove(runtime: str) -> None:
        if not Path(runtime).name.startswith("lineshaft-"):
            return
        with contextlib.suppress(OSError):
            Path(runtime, "redis.sock").unlink(missing_ok=True)
            Path(runtime).rmdir()


def socket_in_use(path: Path) -> Path | None:
    """Where the Redis of the `dev` that has this directory listens; None if none has it."""
    try:
        holder = msgspec.json.decode((path / "lock").read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
    socket = Path(holder.runtime, "redis.sock")
    return socket if socket.exists() else None


def _runtime_directory() -> str:
    folder = tempfile.mkdtemp(prefix="lineshaft-")
    if len(os.fsencode(folder)) + len("/redis.sock") > _LONGEST_SOCKET_PATH:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="lineshaft-", dir="/tmp")  # short everywhere
    return folder


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
