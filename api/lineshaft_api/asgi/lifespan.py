"""What the user's application does when the server starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from lineshaft.errors import ConfigError
from lineshaft.telemetry import log

from .outside import Message

logger = log.get("http.app")

# Seconds that the application has to put its things away; the gateway's own grace is over by then.
_FAREWELL_SECONDS = 5.0


@contextlib.asynccontextmanager
async def running(app: Any, state: dict[str, Any]) -> AsyncIterator[None]:
    """Keep the application's lifespan open. It puts into `state` what its routes find in theirs.

    Raises ConfigError if the application does not start.
    """
    said: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    task = asyncio.create_task(app(scope, said.get, heard.put))
    said.put_nowait({"type": "lifespan.startup"})
    answer = await _next(heard, task)
    if answer is None or answer["type"] != "lifespan.startup.complete":
        raise ConfigError(f"http.app: it does not start: {_why(task, answer)}")
    try:
        yield
    finally:
        said.put_nowait({"type": "lifespan.shutdown"})
        hearing = asyncio.ensure_future(_next(heard, task))
        await asyncio.wait([hearing], timeout=_FAREWELL_SECONDS)
        answer = hearing.result() if hearing.done() else {"message": f"not within {_FAREWELL_SECONDS:.0f} s"}
        if answer is None or answer.get("type") != "lifespan.shutdown.complete":
            logger.error("http.app did not stop in order", error=_why(task, answer))
        hearing.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next(heard: "asyncio.Queue[Message]", task: "asyncio.Task[None]") -> Message | None:
    """What the application says next; None if it ends without a word."""
    hearing = asyncio.ensure_future(heard.get())
    try:
        await asyncio.wait({hearing, task}, return_when=asyncio.FIRST_COMPLETED)
        return hearing.result() if hearing.done() else None if heard.empty() else heard.get_nowait()
    finally:
        hearing.cancel()


def _why(task: "asyncio.Task[None]", answer: Message | None) -> str:
    if task.done() and not task.cancelled() and (error := task.exception()):
        return f"{type(error).__name__}: {error}"
    # A traceback: its last line says what has happened.
    return str((answer or {}).get("message") or "it ended without a reason").strip().splitlines()[-1]
