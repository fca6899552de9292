"""Calls the webhooks of runs that have ended. Every worker's parent does: no graph is in its way there."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import random
import time
import uuid
from collections import Counter
from functools import partial
from urllib.parse import urlsplit

from lineshaft.queues.queue import WEBHOOKS_QUEUE
from lineshaft.redis.client import Client
from lineshaft.telemetry import log
from lineshaft.telemetry.upkeep_metrics import WEBHOOK_SECONDS, WEBHOOKS
from lineshaft.webhooks.calls import Call, Outcome, Webhooks

from .waker import Waker

logger = log.get("webhooks")

ATTEMPTS = 8  # with waits that grow to two hours: up to five hours for a receiver to come back
_GROWTH, _LONGEST_WAIT = 4, 7200.0  # of the waits between them; seconds
_SLOTS = 8  # calls under way at once: each may hold a payload of some MiB in a process that is to stay small
# Of them to one receiver: while it is slow the others are still called. Another worker may call it as often.
_SLOTS_FOR_ONE = 2
_IDLE_SECONDS = 5.0  # how long a lost wake-up can delay a call, and one whose sender died


class Sender:
    """Takes calls that are due, sends them and notes what became of them."""

    def __init__(self, client: Client) -> None:
        """Raises ConfigError if headers name variables that are not there."""
        settings = client.settings
        self._client = client
        self._calls = Webhooks(client)
        self._policy = settings.langgraph_webhooks
        self._headers = self._policy.resolved_headers(os.environ)
        self._secret = settings.lineshaft_webhook_secret.encode()
        self._timeout = settings.lineshaft_webhook_timeout_seconds
        self._retry = settings.lineshaft_webhook_retry_seconds
        self._woken = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._receivers: Counter[str] = Counter()  # of the calls under way

    async def run(self) -> None:
        """Send until cancelled. What is under way then is sent again by others: nobody can tell whether it arrived."""
        waker = Waker(self._client, (WEBHOOKS_QUEUE,), self._woken.set)
        waking = asyncio.create_task(waker.run())
        try:
            while True:
                self._woken.clear()
                waker.want({WEBHOOKS_QUEUE} if self._has_room else set())
                await waker.use_token()
                wait = await self._fill()
                waker.want({WEBHOOKS_QUEUE} if self._has_room else set())
                if not self._has_room:
                    await waker.pass_on()  # more may be due, for others
                if waking.done():
                    waking.result()  # raises what ended it
                idle = _IDLE_SECONDS * (0.8 + 0.4 * random.random())
                # Not wait_for, which before Python 3.12 loses a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(idle if wait < 0 else min(idle, wait)):
                        await self._woken.wait()
        finally:
            for task in (waking, *self._sending):
                task.cancel()
            await asyncio.gather(waking, *self._sending, return_exceptions=True)

    @property
    def _has_room(self) -> bool:
        return len(self._sending) < _SLOTS

    async def _fill(self) -> float:
        """Take calls while there is room; returns the seconds until another is due, or -1."""
        while self._has_room:
            # Twice what an attempt takes: noting its outcome must not come too late for a slow Redis.
            busy = [receiver for receiver, count in self._receivers.items() if count >= _SLOTS_FOR_ONE]
            call, wait = await self._calls.claim(uuid.uuid4().hex, self._timeout * 2, busy)
            if call is None:
                return wait
            task = asyncio.create_task(self._guard(call))
            self._sending.add(task)
            self._receivers[call.receiver] += 1
            task.add_done_callback(partial(self._ended, call.receiver))
        return -1

    def _ended(self, receiver: str, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._receivers[receiver] -= 1
        self._receivers += Counter()  # without those that are called no more
        self._woken.set()

    async def _guard(self, call: Call) -> None:
        try:
            await self._send(call)
        except Exception:  # one call's trouble must not end the others; it is due again when its time is over
            logger.exception("a webhook could not be sent", run_id=call.run_id, attempt=call.attempt)

    async def _send(self, call: Call) -> None:
        # The last attempt's sender died, and perhaps by it.
        if call.attempt > ATTEMPTS:
            await self._note(call, "failed", "given up")
            return
        from .post import post  # noqa: PLC0415 - loads an HTTP client, which a parent without webhooks need not have

        started = time.time()
        body = await self._calls.body(call, int(started * 1000))
        answer = await post(call.url, body, self._headers_of(call, body, int(started)), self._policy, self._timeout)
        about = {
            "run_id": call.run_id,
            "host": urlsplit(call.url).hostname,  # not the whole: people put secrets into such URLs
            "attempt": call.attempt,
            "seconds": round(time.time() - started, 3),
            "said": answer.said,
        }
        WEBHOOK_SECONDS.observe(time.time() - started)
        if answer.arrived:
            if await self._note(call, "delivered", answer.said):
                logger.info("webhook delivered", **about)
        elif answer.again and call.attempt < ATTEMPTS:
            wait = max(answer.wait, random.random() * min(_LONGEST_WAIT, self._retry * _GROWTH ** (call.attempt - 1)))
            if await self._note(call, "waiting", answer.said, wait):
                logger.warning("webhook not delivered, trying again", **about, wait=round(wait, 1))
        elif await self._note(call, "failed", answer.said):
            logger.error("webhook given up", **about)

    async def _note(self, call: Call, outcome: Outcome, said: str, wait: float = 0) -> bool:
        """Also for who counts; False: it does not count any more."""
        counts = await self._calls.note(call, outcome, said, wait)
        if counts:
            WEBHOOKS.labels(outcome).inc()
        return counts

    def _headers_of(self, call: Call, body: bytes, sent: int) -> dict[str, str]:
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "X-Lineshaft-Delivery": call.run_id,
            "X-Lineshaft-Attempt": str(call.attempt),
        }
        if self._secret:
            headers["X-Lineshaft-Signature"] = signature(self._secret, body, sent)
        return headers


def signature(secret: bytes, body: bytes, sent: int) -> str:
    """`t=<unix time>,v1=<hex>`: HMAC-SHA256 over `<t>.<body>`, so that an old call cannot be passed off as new."""
    digest = hmac.new(secret, f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={sent},v1={digest}"
