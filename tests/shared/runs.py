"""A thread, an assistant and runs on it, for tests of the queue's scripts without a worker process."""

import contextlib
import uuid
from typing import Any

import msgspec

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.errors import Fenced
from lineshaft.redis.client import Client
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import RunStore
from lineshaft.threads.thread import ThreadStore


class Desk:
    """Creates runs as a gateway does, and takes them through their transitions as a worker does."""

    max_crashes = 3
    limits = ""  # of run_claim.lua
    queues: tuple[str, ...] = ("overflow", "runs")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.runs = RunStore(client)
        self.worker = uuid.uuid4().hex[:8]
        self._threads: list[str] = []

    async def open(self) -> str:
        """A system assistant for the graph `g`, a leased worker, and a new thread: its id."""
        await AssistantStore(self.client).ensure_system("g", "g", None)
        await self.lease(self.worker)
        self._threads.append((await ThreadStore(self.client).create()).thread_id)
        return self._threads[-1]

    def adopt(self, thread_id: str) -> None:
        """A thread that others have made goes with ours."""
        self._threads.append(thread_id)

    async def lease(self, worker: str, milliseconds: int = 10_000, *, begin: bool = True) -> int:
        renewed: int = await self.client.script(
            "worker_renew", worker=worker, begin=begin, lease=milliseconds, max_crashes=self.max_crashes,
            info=["host", "test"] if begin else [],
        )  # fmt: skip
        return renewed

    async def create(self, thread_id: str | None, **fields: Any) -> str:
        protocol_v2, user = fields.pop("protocol_v2", False), fields.pop("user", None)
        request = msgspec.json.decode(msgspec.json.encode({"assistant_id": "g", **fields}), type=RunCreate)
        return (await self.runs.create(thread_id, request, protocol_v2=protocol_v2, user=user)).run.run_id

    async def claim(self, room: int = 10, worker: str = "", request: str = "") -> list[tuple[str, str]]:
        """Claim up to `room` runs: pairs of run id and token."""
        answer = await self.client.script(
            "run_claim", worker=worker or self.worker, request=request or uuid.uuid4().hex,
            lease=10_000, max_crashes=self.max_crashes, limits=self.limits, shares="",
            rooms=[part for queue in self.queues for part in (queue, room)],
        )  # fmt: skip
        return [(row[0].decode(), row[2].decode()) for row in answer[1:]]

    async def finish(self, run_id: str, token: str, status: str = "success", **changes: Any) -> str:
        """End a run as a worker does, which takes back first what a rolled back run has stored."""
        if changes.get("handled") == "rollback":
            with contextlib.suppress(Fenced):
                await self.client.script(
                    "checkpoint_rollback", run_id=run_id, token=token, target=run_id, limit=100, members=[]
                )
        args: dict[str, Any] = {
            "error": b"", "failure": b"", "error_class": "", "handled": "", "rev": 1, "thread_status": "idle",
            "state": b'{"values":{}}', "interrupts": b"{}", "content": b"", "entries": [], **changes,
        }  # fmt: skip
        answer: bytes = await self.client.script("run_finish", run_id=run_id, token=token, status=status, **args)
        return answer.decode()

    async def field(self, run_id: str, name: str) -> str | None:
        value = await self.client.command("HGET", self.client.keys.run(run_id), name)
        return value.decode() if value is not None else None

    async def status(self, run_id: str) -> str | None:
        return await self.field(run_id, "status")

    async def log(self, thread_id: str, run_id: str = "") -> list[tuple[str, str]]:
        """The thread's event log, or one run's part of it: pairs of event and data."""
        rows = await self.client.command("XRANGE", self.client.keys.thread_events(thread_id), "-", "+")
        entries = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in rows]
        own = [fields for fields in entries if run_id in ("", fields[b"r"].decode())]
        return [(fields[b"e"].decode(), fields[b"d"].decode()) for fields in own]

    def forget(self, thread_id: str) -> None:
        """A thread that its test has deleted."""
        self._threads.remove(thread_id)

    async def leave(self) -> None:
        """The worker says farewell, and what still waits goes with its thread."""
        for thread_id in self._threads:
            await ThreadStore(self.client).delete(thread_id)
        await self.client.script("worker_release", worker=self.worker, crashed=False, max_crashes=self.max_crashes)
