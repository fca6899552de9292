"""Firing the crons that are due. Any number of schedulers may do it: each time of a cron fires once."""

import asyncio
from typing import Any, cast

import msgspec
from msgspec import UNSET

from lineshaft.errors import Unavailable
from lineshaft.redis.client import Client
from lineshaft.runs import order as run_order
from lineshaft.runs.order import RunOrder
from lineshaft.runs.request import RunCreate
from lineshaft.telemetry import log, tracing
from lineshaft.telemetry.upkeep_metrics import CRON_FIRES, CRON_LATENESS

from .record import CronRecord, read_crons
from .schedule import Schedule

logger = log.get("crons")

_AT_ONCE = 20  # crons; the payloads of all of them are held meanwhile
_RETRY_SECONDS = 1.0  # until another look when Redis takes no new runs, or there was a record that cannot be read
_BROKEN_MS = 60_000  # until another look at a cron whose schedule cannot be read here


class DueCrons:
    """Fires crons. `name` is the scheduler's, for the timer that one of them keeps."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    async def fire(self) -> float:
        """Fire all that are due; returns the seconds until the next one is, or -1 if that is another's matter."""
        while True:
            now, wait, *due = await self._client.script("cron_due", scheduler=self._name, limit=_AT_ONCE)
            if not due:
                return float(wait) / 1000 if wait >= 0 else -1
            records = await read_crons(self._client, [i.decode() for i in due[::2]], with_payload=True)
            windows = [int(window) for window in due[1::2]]
            done = await asyncio.gather(
                *(self._fire(record, window, now) for record, window in zip(records, windows, strict=True) if record)
            )
            if not all(done) or None in records:
                return _RETRY_SECONDS

    async def _fire(self, cron: CronRecord, window: int, now: int) -> bool:
        """Fire one; False if there is no room for its run now. Whatever else is wrong with it hinders no other cron."""
        about: dict[str, Any] = {"cron_id": cron.cron_id, "late": (now - window) / 1000}
        following = now + _BROKEN_MS
        order: RunOrder | None = None
        try:
            following = Schedule(cron.head.schedule, cron.head.timezone).next_window(window, now)
            order = run_order.order(
                self._client,
                cron.head.thread_id,
                request_of(cron),
                "",
                cron_id=cron.cron_id,
                user=cron.head.user,
                requested_ms=window,
            )
        except Exception:
            # It was sound when it was made, but to another version of the server, or with other time zones. Whatever it
            # is: a cron that stayed due for it would be tried for ever, and others behind it never.
            logger.exception("a cron cannot fire", **about)
        try:
            outcome = await self._create(cron, window, following, order)
        except Unavailable as error:
            CRON_FIRES.labels("failed").inc()
            logger.warning("a cron has to wait", **about, error=str(error))
            return False
        if outcome == b"fired" and order:
            CRON_FIRES.labels("fired").inc()
            CRON_LATENESS.observe(max(0.0, about["late"]))
            logger.info("cron fired", **about, run_id=order.run_id)
        elif outcome:
            CRON_FIRES.labels("passed" if outcome == b"passed" else "refused").inc()
            logger.warning("a cron did not fire", **about, why=outcome.decode())
        return True

    async def _create(self, cron: CronRecord, window: int, following: int, order: RunOrder | None) -> bytes:
        """What cron_fire.lua answers."""
        call: dict[str, Any] = {
            "cron_id": cron.cron_id,
            "expected_version": cron.version,
            "expected": window,
            "next_at": following,
        }
        if order is None:
            return cast("bytes", await self._client.script("cron_fire", **call, order=[]))
        with tracing.publish(order.run_id, cron_id=cron.cron_id) as span:
            own = {"input": order.args["input"] or [""], "trace": span.carrier}
            args = self._client.scripts["run_enqueue"].encode({**order.args, **own})
            outcome: bytes = await self._client.after(order.before, "cron_fire", **call, order=args)
            span.note(outcome=outcome.decode())
            return outcome


def request_of(cron: CronRecord) -> RunCreate:
    """The run that a cron starts."""
    request = msgspec.json.decode(cron.payload, type=RunCreate)
    own = {} if request.metadata is UNSET else request.metadata
    return msgspec.structs.replace(
        request,
        metadata={**cron.head.metadata, **own},
        on_completion=cron.head.on_run_completed or "keep",
        if_not_exists="reject",
    )
