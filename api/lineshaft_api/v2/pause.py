"""What a thread waits for: the questions that its last run has asked, once it is at rest."""

import time

from aiohttp import web

from lineshaft.errors import NotFound
from lineshaft.events.log import END, Entry, EventLog
from lineshaft.threads.record import ThreadStatus
from lineshaft.threads.thread import ThreadStore
from lineshaft_api.context import CLIENT, HUB

# Seconds: a question is seen before its run has ended, and only then can it be answered. That takes milliseconds,
# unless the worker dies in between.
PATIENCE = 5.0
# After its question a run logs next to nothing: what else the graphs above it and its parallel steps have to say.
_LAST = 32


class Pause:
    """One look at a thread, or several, within PATIENCE."""

    def __init__(self, app: web.Application, thread_id: str) -> None:
        self._app = app
        self._thread_id = thread_id
        self._threads = ThreadStore(app[CLIENT])
        self._events = EventLog(app[CLIENT])
        self._deadline = time.monotonic() + PATIENCE

    async def look(self) -> tuple[ThreadStatus | None, set[str]]:
        """The thread's status, None if there is none; and the ids of the interrupts that it waits with."""
        return await self._threads.questions(self._thread_id)

    async def is_coming(self) -> bool:
        """Whether the run that is under way has asked something, and will have ended in a moment."""
        return _has_asked(await self._events.last(self._thread_id, _LAST))

    async def rest(self) -> bool:
        """Wait until the next end of a run; False if the time is over before."""
        try:
            newest = await self._events.newest(self._thread_id)
        except NotFound:
            return False
        async with self._app[HUB].watch(self._thread_id, newest) as watcher:
            status, _ = await self.look()
            while status == "busy":
                left = self._deadline - time.monotonic()
                if left <= 0:
                    return False
                if any(entry.event == END for entry in await watcher.next(left)):
                    return True
        return True


def _has_asked(newest_first: list[Entry]) -> bool:
    for entry in newest_first:
        if entry.event == END:
            return False
        if entry.mode == "input.requested" or (
            entry.mode in ("values", "updates") and b'"__interrupt__"' in entry.data
        ):
            return True
    return False
