"""One WebSocket's view of a thread: its subscriptions, and what it has seen.

There is one reader of the log, begun with the first subscription. What comes is sent once, however many want it; a
later subscription first gets what it has missed of the present run, read again from the log.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from lineshaft.errors import Invalid, Unavailable
from lineshaft.ids import uuid7
from lineshaft.telemetry import log
from lineshaft_api.auth.sight import sees_thread

from .commands import carry_out, no_such_subscription
from .envelope import Command, Failure, Malformed, read_command, reply
from .event import Event
from .filter import Filter, read_filter, whole_number
from .reading import find_range, find_start, follow_events, read_events
from .tree import Tree

logger = log.get("sockets")

# Codes of the close that tells a client why: it comes back after the first two, and knows better after the last.
RESTARTING, FAILED, THREAD_GONE = 1012, 1011, 4404


class SocketSession:
    """What happens on one connection; `over` has the close code once there is nothing more to come."""

    def __init__(self, request: web.Request, thread_id: str, send: Callable[[bytes], Awaitable[None]]) -> None:
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request = request
        self._thread_id = thread_id
        self._send = send
        self._order = asyncio.Lock()  # of what is sent: what a subscription has missed, its reply, what comes
        self._subscriptions: dict[str, Filter] = {}
        self._following: asyncio.Task[None] | None = None
        self._seen = 0  # up to which event the thread was read
        self._run = ""  # the first event of the present run, its id and its number
        self._run_began = 0
        self._tree = Tree()
        self._asked: dict[str, list[str]] = {}  # interrupts of the present run, and where

    async def receive(self, document: bytes) -> None:
        """Carry out a command and reply to it."""
        try:
            command = read_command(document)
        except Invalid as error:
            ident = error.id if isinstance(error, Malformed) else None
            await self._send(reply(ident, Failure("invalid_argument", str(error))))
            return
        if not command.method.startswith("subscription."):
            await self._carry_out(command)
            return
        async with self._order:
            await self._carry_out(command)

    async def close(self) -> None:
        """Stop reading."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})

    async def _carry_out(self, command: Command) -> None:
        try:
            outcome = await carry_out(self._request, self._thread_id, self, command)
        except Unavailable as error:
            outcome = Failure("unknown_error", f"503: {error}")
        await self._send(reply(command.id, outcome, self._seen))

    # commands
    async def subscribe(self, params: dict[str, Any]) -> Any:
        """What was before comes as it would have come, if this is the first; else what the present run has shown."""
        wanted, since = read_filter(params), whole_number(params.get("since"))
        replayed = 0
        if self._following is None:
            self._begin(since or 0)
        else:
            replayed = await self._replay(wanted, max(0, self._run_began - 1) if since is None else since, self._seen)
        return self._subscribed(uuid7(), wanted, replayed)

    async def unsubscribe(self, params: dict[str, Any]) -> Any:
        """The reader goes on, for those that may come."""
        ident = params.get("subscription_id")
        if not isinstance(ident, str) or ident not in self._subscriptions:
            return no_such_subscription(params)
        del self._subscriptions[ident]
        return {}

    async def reconnect(self, params: dict[str, Any]) -> Any:
        """All that came behind `since` before the reply, if it is there."""
        wanted, since = read_filter(params), whole_number(params.get("since"))
        if since is None:
            raise Invalid("since: give the seq of the last event that was seen")
        if not await sees_thread(self._request, self._thread_id):
            return Failure("no_such_run", "There is no run on this thread.")
        found = await find_range(self._request.app, self._thread_id, since)
        if not found.newest:
            return Failure("no_such_run", "There is no run on this thread.")
        if found.is_lost:
            more = {"since": since, "min_available_seq": found.oldest}
            return Failure("resume_gap", "Events behind `since` are gone.", more)
        until = self._seen if self._following else found.newest
        replayed = await self._replay(wanted, since, until, observed=self._following is None)
        if self._following is None:
            self._begin(until)
        ident = params.get("subscription_id")
        return self._subscribed(ident if isinstance(ident, str) else uuid7(), wanted, replayed)

    def tree(self) -> Any:
        """What this connection has seen of it."""
        if (root := self._tree.root()) is None:
            return Failure("no_such_run", "This connection has seen no run: subscribe first.")
        return {"tree": root}

    def asked_at(self, interrupt_id: str) -> list[str] | None:
        """None for an interrupt that it has not seen."""
        return self._asked.get(interrupt_id)

    def _subscribed(self, ident: str, wanted: Filter, replayed: int) -> dict[str, Any]:
        self._subscriptions[ident] = wanted
        return {"subscription_id": ident, "replayed_events": replayed}

    # events
    def _begin(self, since: int) -> None:
        self._following = asyncio.create_task(self._follow(since))

    async def _follow(self, since: int) -> None:
        code = FAILED
        try:
            start = await find_start(self._request.app, self._thread_id, since)
            async with contextlib.aclosing(follow_events(self._request, self._thread_id, start)) as batches:
                async for batch in batches:
                    async with self._order:
                        for event in batch:
                            self._observe(event)
                            if any(wanted.wants(event) for wanted in self._subscriptions.values()):
                                await self._send(event.encoded())
            code = THREAD_GONE
        except ConnectionError:
            pass  # the client has gone
        except Unavailable as error:
            logger.warning("events cannot be sent", thread_id=self._thread_id, error=str(error))
        except Exception:  # nobody else looks at this task: say it, and let the client come again
            logger.exception("events cannot be sent", thread_id=self._thread_id)
        finally:
            if not self.over.done():
                self.over.set_result(code)

    async def _replay(self, wanted: Filter, since: int, until: int, *, observed: bool = False) -> int:
        """Send what is wanted of the events behind `since` up to `until`; how many they were."""
        count = 0
        if until <= since:
            return count
        async with contextlib.aclosing(read_events(self._request.app, self._thread_id, since, until)) as batches:
            async for batch in batches:
                for event in batch:
                    if observed:
                        self._observe(event)
                    if wanted.wants(event):
                        await self._send(event.encoded())
                        count += 1
        return count

    def _observe(self, event: Event) -> None:
        self._seen = max(self._seen, event.seq)
        is_start = event.event_id.endswith(":lc||running")
        if (is_start or not self._run) and event.event_id != self._run:
            # Also in the middle of one, where nothing is known of what was before.
            self._run, self._run_began = event.event_id, event.seq
            self._tree, self._asked = Tree(), {}
        self._tree.add(event)
        if event.method == "input.requested":
            asked = msgspec.json.decode(event.params.data, type=_Interrupt).interrupt_id
            self._asked[asked] = event.params.namespace


class _Interrupt(msgspec.Struct):
    interrupt_id: str
