"""Reads from Redis what it has kept of the runs: their records and the threads' event logs."""

import asyncio
import contextlib
import json
import re
from typing import Any

import redis.exceptions as rx

from lineshaft.events.log import END, client_id, status_told
from tests.chaos.book import Book
from tests.chaos.cell import KEYS
from tests.chaos.history import Event, Record

SWEEP = 20.0  # seconds; what a temporary thread leaves lives for 300
_RUN = re.compile(r"ls:run:([0-9a-f-]{36})$")
_LOG = re.compile(r"ls:thread:([0-9a-f-]{36}):events$")


class Archive:
    """What was read so far. Temporary threads are read while it goes on: they vanish some minutes after their run."""

    def __init__(self, client: Any, book: Book) -> None:
        self.logs: dict[str, list[Event]] = {}
        self.records: dict[str, Record] = {}
        self._client = client
        self._book = book

    async def keep_temporary(self) -> None:
        """Look every now and then, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP)
            with contextlib.suppress(rx.RedisError, OSError):  # it is away just now: the next look finds the same
                await self._sweep()

    async def _sweep(self) -> None:
        for run in list(self._book.runs.values()):
            if run.temporary and run.run_id not in self.records:
                await self._keep(run.run_id)

    async def _keep(self, run_id: str) -> None:
        record = await self._record(run_id)
        if record is None:
            return
        run = self._book.runs[run_id]
        run.thread_id = record.thread_id
        log = await self._log(record.thread_id)
        if log and log[-1].name == END:
            self.records[run_id], self.logs[record.thread_id] = record, log
            run.status = record.status

    async def read(self) -> None:
        """Everything that is there."""
        await self._sweep()
        async for key in self._client.scan_iter(count=1000):
            name = key.decode()
            if (found := _RUN.match(name)) and found[1] not in self.records:
                if record := await self._record(found[1]):
                    self.records[found[1]] = record
            elif (found := _LOG.match(name)) and found[1] not in self.logs:
                self.logs[found[1]] = await self._log(found[1])

    async def _record(self, run_id: str) -> Record | None:
        fields = {k.decode(): v.decode() for k, v in (await self._client.hgetall(KEYS.run(run_id))).items()}
        if "doc" not in fields:
            return None
        spec = json.loads(fields["doc"])
        return Record(
            run_id=run_id,
            thread_id=fields["thread"],
            status=fields.get("status", "missing"),
            due=int(fields.get("created", 0)) / 1000,
            after=spec.get("after_seconds", 0.0),
            strategy=spec.get("multitask_strategy", ""),
            attempt=int(fields.get("attempt", 0)),
            crashes=int(fields.get("crashes", 0)),
            error=fields.get("error", ""),
            cancel=fields.get("cancel", ""),
        )

    async def _log(self, thread_id: str) -> list[Event]:
        events = []
        for ident, fields in await self._client.xrange(KEYS.thread_events(thread_id)):
            milliseconds = int(ident.partition(b"-")[0])
            event = Event(
                ident=client_id(ident.decode()),
                at=milliseconds / 1000,
                run=fields[b"r"].decode(),
                name=fields[b"e"].decode(),
                data=status_told(fields[b"d"]) if fields[b"e"] == END.encode() else "",
            )
            events.append(event)
        return events
