"""The only way of one process to Redis: a TCP proxy that can hold every byte back, lose answers, or hang up."""

import asyncio
import contextlib


class Proxy:
    """Passes connections to a loopback port on to a unix socket."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._losing = False
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up and listen no more."""
        self.hang_up()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def hold(self) -> None:
        """Pass nothing on, as a network that swallows packets; connections stay."""
        self._open.clear()

    def hang_up(self) -> None:
        """Close every connection, and new ones at once, until `heal`."""
        self._refusing = True
        for connection in self._connections:
            connection.cancel()

    def lose_answers(self) -> None:
        """Pass on what is asked, and none of the answers: the asker cannot know that it was done."""
        self._losing = True

    def heal(self) -> None:
        """Pass on what was held back, and whatever comes. A connection whose answers were lost is no good any more."""
        if self._losing:
            self.hang_up()
        self._refusing = self._losing = False
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        # Cancelled by `hang_up`; asyncio's server would report that as an error of ours.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                if not self._refusing:
                    await self._connect(reader, writer)
            finally:
                self._connections.discard(task)
                writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        ways = [
            asyncio.create_task(self._pass_on(reader, far_writer, loses=False)),
            asyncio.create_task(self._pass_on(far_reader, writer, loses=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, loses: bool) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            if loses and self._losing:
                continue
            writer.write(data)
            await writer.drain()
