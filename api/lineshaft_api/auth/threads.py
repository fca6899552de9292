"""Runs functions that block, and may never come back, beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

_AT_ONCE = 16  # they wait for networks, mostly


class Threads:
    """Threads that nobody waits for at the end: one that hangs must not keep the gateway from stopping."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def call(self, function: Callable[[], Any]) -> Any:
        """What the function returns or raises. Who is cancelled meanwhile leaves it running, and its place taken."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            self._free.release()
            if done.done():  # nobody waits any more
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def run() -> None:
            outcome: tuple[Any, BaseException | None]
            try:
                outcome = (function(), None)
            except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
                outcome = (None, error)
            try:
                loop.call_soon_threadsafe(settle, *outcome)
            except RuntimeError:  # the loop has closed
                return

        await self._free.acquire()
        threading.Thread(target=run, name="auth", daemon=True).start()
        return await done
