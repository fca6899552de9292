"""redis-py's connections, with a bound for silence that loses no cancellation.

redis-py's own, socket_timeout, goes through asyncio.wait_for, which before Python 3.12 swallows a cancellation that
comes at the wrong moment: a task that was to end goes on, and who waits for its end waits for ever.
"""

import asyncio
from typing import Any

import redis.asyncio
import redis.asyncio.connection as rc
import redis.exceptions as rx


class _Bounded(rc.AbstractConnection):
    """`silence` is how long (seconds) a write, or an answer without a timeout of its own, may take."""

    def __init__(self, *, silence: float, **options: Any) -> None:
        super().__init__(**options)
        self._silence = silence

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Write, connecting first if need be."""
        try:
            async with asyncio.timeout(self._silence):
                await super().send_packed_command(*args, **options)
        except TimeoutError:
            raise rx.TimeoutError(f"nothing could be sent for {self._silence} seconds") from None

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - redis-py's signature
        **options: Any,
    ) -> Any:
        """The next answer."""
        if timeout is not None:
            return await super().read_response(disable_decoding, timeout, **options)
        try:
            async with asyncio.timeout(self._silence):
                return await super().read_response(disable_decoding, None, **options)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise rx.TimeoutError(f"no answer within {self._silence} seconds") from None


class PlainConnection(_Bounded, redis.asyncio.Connection):
    """Over TCP."""


class TLSConnection(_Bounded, redis.asyncio.SSLConnection):
    """Over TLS."""


class UnixConnection(_Bounded, redis.asyncio.UnixDomainSocketConnection):
    """Over a unix socket."""
