"""Redis Sentinel: which server is the primary is asked anew for every connection, and the server itself is asked too.

So whoever loses a connection, for whatever reason, finds the new primary by connecting again.
"""

from collections.abc import Callable
from typing import Any

import redis.asyncio
import redis.exceptions as rx

from .connections import PlainConnection, TLSConnection

Address = tuple[str, int]


class Sentinels:
    """The Sentinels that watch one service. `connect` makes a connection to one of them, not yet established."""

    def __init__(
        self, service: str, addresses: list[Address], connect: Callable[[Address], redis.asyncio.Connection]
    ) -> None:
        self.service = service
        self._addresses = list(addresses)
        self._connect = connect

    async def primary(self) -> Address:
        """Where the service's primary is, by the first Sentinel that knows. Raises redis-py's ConnectionError."""
        failures = []
        for address in tuple(self._addresses):
            try:
                found = await self._ask(address)
            except (rx.RedisError, OSError) as error:
                failures.append(f"{address[0]}:{address[1]}: {error}")
                continue
            if found is None:
                failures.append(f"{address[0]}:{address[1]} does not know it")
                continue
            # It is asked first from now on: one that is away costs its timeout once, not at every connection.
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            return found
        raise rx.ConnectionError(f"no Sentinel names a primary of {self.service!r} ({'; '.join(failures)})")

    async def _ask(self, address: Address) -> Address | None:
        connection = self._connect(address)
        try:
            await connection.connect()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
            answer: Any = await connection.read_response()
        finally:
            # Not kept: a Sentinel is asked when a connection is made, which is seldom.
            await connection.disconnect(nowait=True)
        return (answer[0].decode(), int(answer[1])) if answer else None


class PrimaryConnection(PlainConnection):
    """A connection that looks for the primary each time it connects."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        await super()._connect()  # type: ignore[no-untyped-call]  # redis-py leaves it without annotations

    async def on_connect(self) -> None:
        """Ask the server itself: a Sentinel that was cut off still names the old primary, which is a replica by now."""
        await super().on_connect()
        await self.send_command("ROLE", check_health=False)
        role: Any = await self.read_response()
        if role[0] != b"master":
            raise rx.ConnectionError(f"{self.host}:{self.port} is not the primary of {self._sentinels.service!r}")


class PrimaryTLSConnection(PrimaryConnection, TLSConnection):
    """The same over TLS."""
