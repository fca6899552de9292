"""A worker in the test's own event loop, and what a gateway does around it."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import Action, cancel
from lineshaft.runs.record import TERMINAL
from lineshaft.threads.thread import ThreadStore
from lineshaft_worker.executor import Executor
from lineshaft_worker.graphs import Graphs
from lineshaft_worker.worker import RunWorker
from tests.shared.runs import Desk
from tests.shared.until import until

from . import run_graphs

QUICK = 3.5  # seconds; a token works within milliseconds, and an idle worker looks by itself after 4 at the earliest
_LEASE = 120_000  # ms: longer than any test, so that nobody has to renew it


class InProcessWorker:
    """A RunWorker, leased and at work."""

    def __init__(
        self, client: Client, graphs: Graphs, *, jobs: int = 4, grace: float = 10, queues: dict[str, int] | None = None
    ) -> None:
        self.id = uuid.uuid4().hex[:8]
        self.runs = RunWorker(client, Executor(client, graphs), self.id, max_jobs=jobs, grace=grace, queues=queues)
        self._client = client
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it has looked for work and waits for more."""
        await Desk(self._client).lease(self.id, _LEASE)
        self._task = asyncio.create_task(self.runs.async_run())

        async def looked() -> bool:
            return bool(await self._client.command("HEXISTS", self._client.keys.worker(self.id), "request"))

        await until(looked, "the worker has looked for work")

    async def listens(self) -> None:
        """Wait until it hears of cancels."""
        channel = self._client.keys.worker_channel(self.id)

        async def heard() -> bool:
            return bool((await self._client.command("PUBSUB", "NUMSUB", channel))[1])

        await until(heard, "the worker listens")

    async def stop(self) -> None:
        """Stop as SIGTERM does."""
        self.runs.stop()
        await self.stopped()

    async def stopped(self) -> None:
        assert self._task is not None
        await asyncio.wait_for(self._task, 30)

    async def kill(self) -> None:
        """Let it go no further, anywhere. What it began outside its own tasks, such as a graph, is the caller's."""
        assert self._task is not None
        for task in (self._task, *self.runs.tasks.values()):
            task.cancel()
        await asyncio.wait({self._task})

    async def leave(self, *, crashed: bool = False) -> None:
        """The end of its lease, as its parent sees to it."""
        await self._client.script("worker_release", worker=self.id, crashed=crashed, max_crashes=3)

    async def close(self) -> None:
        """Whatever state it is in."""
        if self._task is not None and not self._task.done():
            self.runs._grace = 0
            await self.stop()
        await self.leave()


Hire = Callable[..., Awaitable[InProcessWorker]]  # starts a worker with these options


class Office(Desk):
    """A desk that knows the graphs of `run_graphs`, and waits for what workers do."""

    async def thread(self) -> str:
        thread = (await ThreadStore(self.client).create()).thread_id
        self._threads.append(thread)
        return thread

    async def publish(self, *names: str) -> None:
        for name in names:
            await AssistantStore(self.client).ensure_system(name, name, None)

    async def start(self, graph: str, thread: str | None, graph_input: Any = None, **fields: Any) -> str:
        """Enqueue a run."""
        return await self.create(thread, assistant_id=graph, input=graph_input, **fields)

    async def ended(self, run_id: str) -> str | None:
        """The run's last status, None if its record is gone."""

        async def over() -> bool:
            return await self.field(run_id, "status") in (*TERMINAL, None)

        await until(over, "the run has ended", 60)
        return await self.status(run_id)

    async def given_back(self, run_id: str) -> None:
        """Wait until a worker has had the run and has given it back."""

        async def had() -> bool:
            fields = await self.client.command("HMGET", self.client.keys.run(run_id), "status", "started")
            return fields[0] == b"pending" and fields[1] is not None

        await until(had, "the run was given back")

    async def run(self, graph: str, thread: str | None, graph_input: Any = None, **fields: Any) -> str | None:
        """Enqueue a run and wait for its end."""
        return await self.ended(await self.start(graph, thread, graph_input, **fields))

    async def entered(self, what: str, times: int = 1) -> None:
        """Wait until a node has begun."""
        await until(lambda: run_graphs.ENTERED.count(what) >= times, f"{what} was entered")

    async def cancel(self, thread: str, run_id: str, action: Action = "interrupt") -> None:
        await cancel(self.client, thread, run_id, action, "a test wants it")

    async def shown(self, thread: str) -> dict[str, Any]:
        """The thread as clients see it."""
        shown: dict[str, Any] = json.loads(msgspec.json.encode(await ThreadStore(self.client).get(thread)))
        return shown

    async def values(self, thread: str) -> Any:
        return (await self.shown(thread))["values"]

    async def events(self, thread: str) -> list[tuple[str, Any]]:
        """The thread's event log: pairs of event and value."""
        return [(event, json.loads(data)) for event, data in await self.log(thread)]

    async def attempts(self, thread: str) -> list[int]:
        """The attempts that the log tells of, one for each claim."""
        return [data["attempt"] for event, data in await self.events(thread) if event == "metadata"]
