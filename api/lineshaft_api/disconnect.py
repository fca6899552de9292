"""Cancels the run of a client that has gone, where the client wants it so or nobody else could read its answer."""

import asyncio
import contextlib
from collections.abc import Iterator

from aiohttp import web

from lineshaft.errors import NotFound, Unavailable
from lineshaft.runs.cancellation import cancel
from lineshaft.telemetry import log

from .context import BACKGROUND, CLIENT, DRAINING

logger = log.get("streams")


@contextlib.contextmanager
def cancelling(request: web.Request, thread_id: str, run_id: str, *, active: bool) -> Iterator[None]:
    """If the client goes away, and wants it so, cancel the run. A gateway that stops cancels nothing."""
    try:
        yield
    except (asyncio.CancelledError, ConnectionError):
        if active and not request.app[DRAINING].is_set():
            reason = "client disconnected from the run stream (on_disconnect=cancel)"
            task = asyncio.create_task(_cancel_quietly(request.app, thread_id, run_id, reason))
            # Kept by the application until it is done: this handler's own task ends now.
            request.app[BACKGROUND].add(task)
            task.add_done_callback(request.app[BACKGROUND].discard)
        raise


async def _cancel_quietly(app: web.Application, thread_id: str, run_id: str, reason: str) -> None:
    try:
        await cancel(app[CLIENT], thread_id, run_id, "interrupt", reason)
    except NotFound:
        pass  # it has ended meanwhile
    except Unavailable as error:
        logger.warning("a run whose client has gone was not cancelled", run_id=run_id, error=str(error))
