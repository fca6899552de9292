"""Waiting for a condition, in place of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 60) -> None:
    """Return as soon as `condition` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.005)
