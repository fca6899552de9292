"""A TCP line to a process, which a test can cut and heal: between a worker and its Redis, or a client and a gateway."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

Cut = Literal["refused", "silent"]


class Line:
    """Listens on a port of its own and passes everything on to `target`; works in a thread of its own.

    The target is a unix socket or a port of this host; when it changes, new connections go to the new one.

    `refused`: connections break, and new ones are refused, as when a host is gone. `silent`: nothing comes through any
    more, as when a network drops packets; what was sent meanwhile arrives when the line is healed, as TCP does it.
    """

    def __init__(self, target: str | int) -> None:
        self.target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)
        self._thread.start()
        self._open = asyncio.Event()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.heal()

    @property
    def uri(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def cut(self, how: Cut) -> None:
        """Nothing comes through from now on, in either direction."""
        self._do(self._break() if how == "refused" else self._hush())

    def heal(self) -> None:
        self._do(self._listen())

    def close(self) -> None:
        self._do(self._break())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # seconds: it takes no time

    async def _listen(self) -> None:
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _hush(self) -> None:
        self._open.clear()

    async def _break(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        ends = [writer]
        try:
            await self._open.wait()
            if isinstance(self.target, int):
                their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.target)
            else:
                their_reader, their_writer = await asyncio.open_unix_connection(self.target)
            ends.append(their_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, their_writer))
                pumps.create_task(self._pump(their_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # one side has gone, or the line is cut: asyncio's server would log that as an error of ours
        finally:
            self._pumps.discard(task)
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.close()  # behind what was written; aborted, the line would lose it
        await writer.wait_closed()
        raise ConnectionResetError
