"""TLS in front of a server that has none, in a thread of the test's own process."""

import asyncio
import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

_HANDSHAKE = b"\x16"  # the first byte of a TLS connection; no command of Redis begins with it


class TLSProxy:
    """Listens on a port of its own. With `plain` it takes connections without TLS too, as Sentinels make them here."""

    def __init__(self, target: int, context: ssl.SSLContext, *, plain: bool = False, port: int = 0) -> None:
        self._target = target
        self._context = context
        self._plain = plain
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.secured = 0  # connections with TLS so far, their handshakes done
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, contextlib.suppress(asyncio.CancelledError):
            self._main = self._loop.create_task(self._accept())
            runner.run(self._until_cancelled())

    async def _until_cancelled(self) -> None:
        await self._main

    async def _accept(self) -> None:
        self._listener.setblocking(False)
        serving: set[asyncio.Task[None]] = set()
        try:
            while True:
                connection, _ = await self._loop.sock_accept(self._listener)
                task = self._loop.create_task(self._serve(connection))
                serving.add(task)
                task.add_done_callback(serving.discard)
        finally:
            self._listener.close()
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):  # a failed handshake, an end that hangs up
            stack.callback(connection.close)
            first = await self._peek(connection)
            is_tls = first == _HANDSHAKE
            if not first or not (is_tls or self._plain):
                return
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context if is_tls else None
            )
            stack.callback(transport.abort)
            self.secured += is_tls
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._target)
            stack.callback(behind_writer.transport.abort)
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            ways = [
                self._loop.create_task(self._copy(reader, behind_writer)),
                self._loop.create_task(self._copy(behind_reader, writer)),
            ]
            try:
                # The end of one way ends both, as Redis and its clients mean it.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _peek(self, connection: socket.socket) -> bytes:
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
            return connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return b""
        finally:
            self._loop.remove_reader(connection)

    @staticmethod
    async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
