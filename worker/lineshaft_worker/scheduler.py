"""Fires crons when they are due. Every parent has one: no graph is in its way, and whichever is first fires one."""

import asyncio
import contextlib
import random

from lineshaft.crons.due import DueCrons
from lineshaft.queues.queue import CRONS_QUEUE
from lineshaft.redis.client import Client

from .waker import Waker

_IDLE_SECONDS = (
    5.0  # how late crons can be when the scheduler that kept the timer died: less than what counts as missed
)


class Scheduler:
    """Fires crons when they are due. `name` tells it from others."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._crons = DueCrons(client, name)
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Fire until cancelled."""
        waker = Waker(self._client, (CRONS_QUEUE,), self._woken.set)
        waker.want({CRONS_QUEUE})
        waking = asyncio.create_task(waker.run())
        try:
            while not waking.done():
                self._woken.clear()
                await waker.use_token()
                wait = await self._crons.fire()
                idle = _IDLE_SECONDS * (0.6 + 0.4 * random.random())
                # Not wait_for, which before Python 3.12 loses a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(idle if wait < 0 else min(idle, wait)):
                        await self._woken.wait()
            waking.result()  # raises what ended it
        finally:
            waking.cancel()
            await asyncio.gather(waking, return_exceptions=True)
