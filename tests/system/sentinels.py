"""A primary, its replica, and three Sentinels that watch over them."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import redis
import redis.exceptions as rx

from tests.conftest import server_binary
from tests.system.certificates import Authority
from tests.system.installation import RedisServer
from tests.system.server import START_PATIENCE, Program, free_port, wait_until
from tests.system.tls_proxy import TLSProxy

SERVICE = "shaft"
PASSWORD = "open:sesame"  # of the Sentinels


class Sentinel(Program):
    def __init__(self, folder: Path, primary: int) -> None:
        self.port = free_port()
        own = folder / f"sentinel-{self.port}"
        own.mkdir()
        config = own / "sentinel.conf"  # which it rewrites by itself
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {own}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"requirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n"
            # ms without an answer until a server counts as down; ms until a failover that fails is tried again.
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        super().__init__([server_binary(), str(config), "--sentinel"], folder)
        self.client: Any = redis.Redis(port=self.port, password=PASSWORD)

    def is_set(self) -> bool:
        """Whether it knows the other two, and a replica that follows."""
        try:
            [seen] = [m for m in self.client.sentinel_masters().values() if m["name"] == SERVICE]
            replicas = self.client.sentinel_slaves(SERVICE)
        except rx.ConnectionError:  # not yet
            return False
        return seen["num-other-sentinels"] == 2 and [r["master-link-status"] for r in replicas] == ["ok"]


class Watched:
    """All of them, ready for a failover when the `with` block begins. With an `authority` they are reached over TLS.

    Then each server is known by the port of its proxy, which for Sentinels and replicas does without TLS.
    """

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        self._context = authority.server() if authority else None
        self.proxies: list[TLSProxy] = []
        self.primary = RedisServer(folder)
        # Replicas get their data at once, not after the five seconds that save traffic when many ask for it.
        self.primary.argv += ["--repl-diskless-sync-delay", "0"]
        known_as = self._port_of(self.primary, plain=True)
        self.primary.argv += ["--replica-announce-port", str(known_as)]
        self.replica = RedisServer(folder, "--replicaof", "127.0.0.1", str(known_as))
        self.replica.argv += ["--replica-announce-port", str(self._port_of(self.replica, plain=True))]
        self.sentinels = [Sentinel(folder, known_as) for _ in range(3)]
        self.hosts = ",".join(f"127.0.0.1:{self._port_of(sentinel, plain=False)}" for sentinel in self.sentinels)
        self.uri = f"redis+sentinel://{self.hosts}/{SERVICE}?sentinel_password={quote(PASSWORD)}"
        self._stack = ExitStack()

    def _port_of(self, program: RedisServer | Sentinel, *, plain: bool) -> int:
        if self._context is None:
            return program.port
        self.proxies.append(TLSProxy(program.port, self._context, plain=plain))
        return self.proxies[-1].port

    def __enter__(self) -> Self:
        try:
            parts: tuple[TLSProxy | RedisServer, ...] = (*self.proxies, self.primary, self.replica)
            for part in parts:
                self._stack.enter_context(part)
            for sentinel in self.sentinels:
                sentinel.start()
            for sentinel in self.sentinels:
                wait_until(sentinel.is_set, "the Sentinels know all there is", START_PATIENCE)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sentinel in self.sentinels:
            sentinel.client.close()
            if sentinel.running:
                sentinel.kill()
        self._stack.close()

    def replicated(self) -> bool:
        """Whether the replica has all that the primary has: what it has not got yet is lost with the primary."""
        return bool(self.primary.client.wait(1, 1000) == 1)
