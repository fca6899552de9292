"""A careful client: it repeats what is safe to repeat, and never counts as acknowledged what was not answered."""

import asyncio
import random
import time
from typing import Any

import httpx

# Seconds. A stopped gateway is silent for less; then another one is asked.
TIMEOUT = httpx.Timeout(8.0)
# Streams and waits say something every 5 seconds.
SILENCE = httpx.Timeout(8.0, read=12.0)
PATIENCE = 90.0  # seconds that a request which is safe to repeat is repeated: no fault takes a tenth of it


class Lost(Exception):
    """Whether the request was carried out is unknown."""


class Caller:
    """HTTP to any of the gateways."""

    def __init__(self, urls: list[str], seed: str) -> None:
        self._random = random.Random(seed)
        self.clients = [httpx.AsyncClient(base_url=url, timeout=TIMEOUT) for url in urls]
        self.broken: list[str] = []  # answers that no fault excuses

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()

    def any(self) -> httpx.AsyncClient:
        return self._random.choice(self.clients)

    async def repeat(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request that may be carried out twice. Raises Lost only after a long time."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.once(method, path, **options)
            except Lost:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1 + 0.2 * self._random.random())

    async def once(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request that must not be carried out twice: only one that never left is sent again. Raises Lost."""
        while True:
            try:
                answer = await self.any().request(method, path, **options)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
                await asyncio.sleep(0.05)
                continue
            except httpx.TransportError as error:
                raise Lost(repr(error)) from error
            if answer.status_code == 503:
                raise Lost(answer.text)  # Redis was away: before or after it had done it, nobody knows
            self.look_at(answer)
            return answer

    async def status(self, thread_id: str, run_id: str) -> str:
        """A run's status, "gone" for one that is not there, or what the gateway answered instead."""
        answer = await self.repeat("GET", f"/threads/{thread_id}/runs/{run_id}")
        if answer.status_code == 404:
            return "gone"
        return str(answer.json()["status"]) if answer.is_success else f"HTTP {answer.status_code}"

    def look_at(self, answer: httpx.Response) -> None:
        if answer.status_code >= 500 and answer.status_code != 503:
            self.broken.append(f"{answer.request.method} {answer.request.url.path}: {answer.status_code}")
