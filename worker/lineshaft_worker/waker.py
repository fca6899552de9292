"""How an idle worker hears of work: one token rests in a queue's wake list, and who pops it looks into the queue."""

import asyncio
import random
from collections.abc import Callable

import redis.exceptions as rx

from lineshaft.redis.client import BLOCK_SECONDS, Client, is_transient


class Waker:
    """Keeps one blocking pop outstanding while its worker wants runs of some queues.

    A pop is not cancelled while the worker lives (the token it may have taken would be lost), and its own timeout is no
    timer (Redis looks at those ten times a second only). A token that the worker cannot use goes to somebody who can.
    """

    def __init__(self, client: Client, queues: tuple[str, ...], on_token: Callable[[], None]) -> None:
        self.queues = queues
        self._client = client
        self._on_token = on_token
        self._names = {client.keys.wake(queue).encode(): queue for queue in queues}
        self._wanted: set[str] = set()
        self._wants_any = asyncio.Event()
        self._token = ""  # the queue whose token woke us

    def want(self, queues: set[str]) -> None:
        """Of which queues a run could be taken now. A pop that is outstanding still waits for those of before."""
        self._wanted = queues
        if queues:
            self._wants_any.set()
        else:
            self._wants_any.clear()

    async def use_token(self) -> None:
        """Call it before looking into the queues: a token that came while the last room was taken is passed on."""
        token, self._token = self._token, ""
        if token and token not in self._wanted:
            await self._wake(token)

    async def pass_on(self) -> None:
        """Wake another worker for each of our queues."""
        for queue in self.queues:
            await self._wake(queue)

    async def _wake(self, queue: str) -> None:
        await self._client.script("wake", queue=queue)

    async def run(self) -> None:
        """Pop tokens until cancelled."""
        blocking = self._client.blocking()
        try:
            while True:
                await self._wants_any.wait()
                wanted = [key for key, queue in self._names.items() if queue in self._wanted]
                try:
                    popped = await blocking.execute_command("BLPOP", *wanted, BLOCK_SECONDS)
                except (rx.RedisError, OSError) as error:
                    if not is_transient(error):
                        raise
                    await asyncio.sleep(0.1 + 0.3 * random.random())  # seconds: Redis is away; do not spin
                    continue
                if not popped:
                    continue
                queue = self._names[popped[0]]
                if queue in self._wanted:
                    self._token = queue
                    self._on_token()
                else:
                    await self._wake(queue)
        finally:
            await blocking.aclose()
