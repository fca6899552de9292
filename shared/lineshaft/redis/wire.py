"""One connection to Redis that everything in an event loop shares.

redis-py connects (URL, TLS, authentication); from then on the bytes are ours. What many coroutines ask in one turn of
the loop leaves in one write, and answers are dealt out in order: a round trip costs a quarter of what a pool of
connections needs for it. Blocking commands have no place here: they would hold up everybody behind them.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import Any, NamedTuple

import hiredis
import redis.asyncio
import redis.exceptions as rx
from redis._parsers import BaseParser

from lineshaft.telemetry.metrics import REDIS_SECONDS

# Seconds. Longer than any of our scripts runs; a connection that is silent for longer is taken for dead (half open).
_SILENCE = 5.0
# Seconds that our own look at it may come late. If it comes later the loop was blocked: the answers may be unread.
_LATE = 0.5


class _Request(NamedTuple):
    """Commands that were sent together, and what has been answered so far."""

    answered: "asyncio.Future[list[Any]]"
    expected: int
    replies: list[Any]
    sent_at: float


class _Session(asyncio.Protocol):
    """One established connection."""

    def __init__(self, connection: Any, transport: asyncio.Transport) -> None:
        self._connection = connection  # kept: its stream objects would close the transport when they are collected
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error)
        self._requests: deque[_Request] = deque()
        self._outgoing: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self.is_open = True

    def send(self, commands: tuple[tuple[Any, ...], ...]) -> "asyncio.Future[list[Any]]":
        """The answers to `commands`, which are sent with whatever else this turn of the loop sends."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing += [hiredis.pack_command(command) for command in commands]
        request = _Request(self._loop.create_future(), len(commands), [], self._loop.time())
        self._requests.append(request)
        if self._watch is None:
            self._look_in(_SILENCE)
        return request.answered

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self.is_open:
            self._transport.write(b"".join(outgoing))

    def data_received(self, data: bytes) -> None:
        """Deal answers out to the requests, in order."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            request = self._requests[0]
            request.replies.append(reply)
            if len(request.replies) == request.expected:
                self._requests.popleft()
                # A caller that was cancelled does not wait any more; its answer comes all the same.
                if not request.answered.done():
                    request.answered.set_result(request.replies)

    def _look_in(self, seconds: float) -> None:
        self._watch = self._loop.call_later(seconds, self._look, self._loop.time() + seconds)

    def _look(self, due: float) -> None:
        self._watch = None
        if not self._requests:
            return
        now = self._loop.time()
        waited = now - self._requests[0].sent_at
        if waited < _SILENCE:
            self._look_in(_SILENCE - waited)
        elif now - due > _LATE:
            self._look_in(_LATE)
        else:
            self.close(rx.TimeoutError(f"no answer within {_SILENCE} seconds"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Redis has closed the connection, or the network has."""
        self.close(rx.ConnectionError(f"connection lost{f': {exc}' if exc else ''}"))

    def close(self, error: Exception) -> None:
        """Close; whoever still waits for an answer gets `error`."""
        if not self.is_open:
            return
        self.is_open = False
        if self._watch is not None:
            self._watch.cancel()
        self._transport.close()
        with contextlib.suppress(AttributeError):
            # redis-py complains of a connection that is collected with its stream open.
            self._connection._reader = self._connection._writer = None  # noqa: SLF001 - it has no way to hand a stream over
        requests, self._requests = self._requests, deque()
        for request in requests:
            if not request.answered.done():
                request.answered.set_exception(error)


class Wire:
    """The connection, made when it is first used and again after every loss."""

    def __init__(self, pool: redis.asyncio.ConnectionPool) -> None:
        self._pool = pool
        self._session: _Session | None = None
        self._connecting: asyncio.Task[_Session] | None = None

    async def send(self, *commands: tuple[Any, ...]) -> list[Any]:
        """The answers in order, errors among them as values. Raises redis-py's errors when the connection fails.

        The commands are sent in one piece: nobody else's come between them.
        """
        session = self._session
        if session is None or not session.is_open:
            session = await self._connect()
            if not session.is_open:  # lost before we came to use it: what it were asked it would never answer
                raise rx.ConnectionError("connection lost")
        began = time.perf_counter()
        answers = await session.send(commands)
        REDIS_SECONDS.observe(time.perf_counter() - began)
        return answers

    async def _connect(self) -> _Session:
        """The connection that is made, or its failure, is that of all who want one now.

        Trying one after another, each would wait out the timeouts of all before it while Redis is silent.
        """
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._make())
            self._connecting.add_done_callback(self._made)
        connecting = self._connecting
        await asyncio.wait({connecting})  # a caller that is cancelled does not cancel it for the others
        if connecting.cancelled():
            raise rx.ConnectionError("connection closed")
        return connecting.result()

    def _made(self, connecting: "asyncio.Task[_Session]") -> None:
        self._connecting = None
        if not connecting.cancelled():
            connecting.exception()  # looked at, should all its callers have gone

    async def _make(self) -> _Session:
        connection = self._pool.make_connection()
        try:
            await connection.connect()
        except BaseException:  # cancelled too: redis-py would leave the socket open
            await connection.disconnect(nowait=True)
            raise
        transport = connection._writer.transport  # noqa: SLF001 - see _Session.close
        session = self._session = _Session(connection, transport)
        transport.set_protocol(session)
        return session

    def drop(self) -> None:
        """Close the connection; the next `send` makes another (after a failover: to the new primary)."""
        if self._session is not None:
            self._session.close(rx.ConnectionError("connection closed"))
            self._session = None

    def close(self) -> None:
        """Close the connection, and give up one that is being made."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.drop()
