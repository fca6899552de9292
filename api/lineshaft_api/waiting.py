"""Waits for the end of a run, for an answer that has nothing to show before."""

import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from lineshaft.runs.run import RunStore

from .context import CLIENT, HUB
from .follow import follow, while_serving
from .outcome import Outcome


async def wait_for_end(
    app: web.Application, thread_id: str, run_id: str, position: str, beat: Callable[[], Awaitable[None]]
) -> Outcome:
    """What the run's events behind `position` come to; `beat` is called after every 5 seconds of silence.

    Raises ConnectionResetError when the gateway stops before that.
    """
    result = Outcome()
    batches = follow(app[HUB], RunStore(app[CLIENT]), thread_id, run_id, position, with_end=True)
    async with contextlib.aclosing(while_serving(app, batches, resumable=False)) as served:
        async for entries in served:
            result.add(entries)
            if not entries:
                await beat()
    return result


class LateResponse:
    """A JSON answer that may take long: its headers go first, and white space keeps the connection alive meanwhile.

    Begun only when a run is under way, so that whatever fails before can still choose a status.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response: web.StreamResponse | None = None

    async def beat(self) -> None:
        """Show some life; before a JSON value white space means nothing."""
        await (await self.begin()).write(b"\n")

    async def send(self, body: bytes) -> web.StreamResponse:
        """Send the answer itself."""
        response = await self.begin()
        await response.write(body)
        await response.write_eof()
        return response

    async def begin(self) -> web.StreamResponse:
        """Send the headers. From now on an answer that breaks off is seen to have broken off."""
        if self._response is None:
            self._response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await self._response.prepare(self._request)
        return self._response
