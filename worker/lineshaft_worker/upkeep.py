"""What a worker's parent does beside holding the lease of its child."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from lineshaft.telemetry import log

logger = log.get("worker parent")

_AGAIN_SECONDS = 0.5  # what fails at once, each time, must not take all of the CPU


@contextlib.asynccontextmanager
async def kept_going(jobs: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Run these all the while, each again when it fails."""
    tasks = [asyncio.create_task(_keep(what, run)) for what, run in jobs.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(what: str, run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except Exception:  # whatever it stumbled over must not end it: nobody else would do its work
            logger.exception("it failed, starting it again", what=what)
            await asyncio.sleep(_AGAIN_SECONDS)
