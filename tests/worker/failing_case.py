"""A worker whose connection fails at one call of a run's life, and what must be right at the end all the same."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from langgraph.config import get_store

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_worker.graphs import Graphs
from tests.shared import redis_state
from tests.shared.failing_wire import FailingWire, Moment, failing

from . import run_graphs
from .in_process import InProcessWorker, Office

# Whether these are here depends on who looked last, and nothing else does on them.
_PASSING = re.compile(
    r"ls:(wake|timer|beat|grace|memory|answered|queries)\b"
    # Writes can overtake their checkpoint when both were under way as the connection broke: then the run notes that
    # there were none before. It goes with the run's record.
    r"|ls:run:.*:kept"
)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{24,32}\b")


async def keep(state: run_graphs.State) -> run_graphs.State:  # noqa: ARG001 - a node takes the state
    """Put an item into the long-term store, and count how often."""
    run_graphs.ENTERED.append("keep")
    store = get_store()
    before = await store.aget(("kept",), "item")
    await store.aput(("kept",), "item", {"times": before.value["times"] + 1 if before else 1})
    return {"log": ["keep"]}


keeping = run_graphs.chain(("a", run_graphs.plain("a")), ("keep", keep), ("z", run_graphs.plain("z")))


class Case:
    """One thread, one worker that fails at one call, and an office that does not. If the worker `dies` of it, it is
    released as crashed and a healthy one takes over.
    """

    def __init__(self, office: Office, worker: InProcessWorker, graphs: Graphs, thread: str, dies: bool) -> None:
        self.graphs = graphs
        self.office = office
        self.worker = worker
        self.thread = thread
        self.dies = dies

    async def start(self, graph: str, graph_input: Any = None, *, alone: bool = False, **fields: Any) -> str:
        """Enqueue a run on the thread, or on one of its own. If its worker dies, each step is stored first."""
        durability = {"durability": "sync"} if self.dies else {}
        return await self.office.start(graph, None if alone else self.thread, graph_input, **durability, **fields)

    async def run(self, graph: str, graph_input: Any = None, **fields: Any) -> str | None:
        return await self.office.ended(await self.start(graph, graph_input, **fields))

    @asynccontextmanager
    async def another(self) -> AsyncIterator[None]:
        """A healthy worker beside it."""
        worker = InProcessWorker(self.office.client, self.graphs)
        await worker.start()
        try:
            yield
        finally:
            await worker.close()

    def executed(self, *steps: str) -> None:
        """Exactly these steps; of a worker that died, the one under way once more."""
        possible = [list(steps)]
        if self.dies:
            possible += [[*steps[: i + 1], *steps[i:]] for i in range(len(steps))]
        assert run_graphs.ENTERED in possible

    async def names(self) -> list[str]:
        """The thread's events: all of them, or of a worker that died those from the last attempt's beginning."""
        key = self.office.client.keys.thread_events(self.thread)
        rows = await self.office.client.command("XRANGE", key, "-", "+")
        names = [fields[fields.index(b"e") + 1].decode() for _, fields in rows]
        if self.dies:
            names = names[-names[::-1].index("metadata") - 1 :] if "metadata" in names else names
        return names

    async def at_rest(self) -> None:
        """Nothing is queued, held or under way."""
        keys, ask = self.office.client.keys, self.office.client.command
        assert await ask("ZCARD", keys.queue("runs")) == 0
        for key in (keys.in_progress("*"), keys.worker_runs("*"), keys.thread_waiting("*"), keys.job("*")):
            assert await ask("KEYS", key) == []


Left = tuple[Counter[str], list[str]]
Story = Callable[[Case], Awaitable[None]]


class Theatre:
    """Plays stories, each as often as its run has calls that can fail."""

    def __init__(self, client: Client, settings: Settings, graphs: Graphs) -> None:
        self._client = client
        self._settings = settings
        self._graphs = graphs
        self._grace = 10.0

    async def play_all(self, story: Story, moment: Moment, *, dies: bool = False, grace: float = 10) -> None:
        """The story without a failure, then with one at every call."""
        self._grace = grace  # seconds that the worker lets runs go on when it stops
        usual = await self._play(story, 0, moment, dies=False)
        at = 0
        while True:
            at += 1
            try:
                left = await self._play(story, at, moment, dies=dies)
            except BaseException as error:
                error.add_note(f"the call that failed: {at}, {moment} Redis had it")
                raise
            if left is None:
                break
            if not dies:
                assert left == usual, f"call {at}"
        assert at > 3  # a claim, a write and an end at least

    async def _play(self, story: Story, at: int, moment: Moment, *, dies: bool) -> Left | None:
        """What is left: the keys by their form, and the names of the events; None if there was no such call."""
        await self._client.redis.flushall()
        run_graphs.reset()
        office = Office(self._client)
        await office.publish(*self._graphs.names)
        client, wire = failing(self._settings, patience=float("inf"))
        before = asyncio.all_tasks()
        worker = InProcessWorker(client, self._graphs, grace=self._grace)
        await worker.start()
        wire.fail(at, moment, dies=dies)
        case = Case(office, worker, self._graphs, await office.thread(), dies)
        async with self._replacement(case, wire, before):
            await story(case)
            await case.at_rest()
            names = await case.names()
            failed = wire.failed
            if not failed:
                wire.fail(0, moment)  # the worker's farewell is no part of the story
        await client.close()
        if at and not failed:
            return None
        left = await redis_state.read(self._client)
        return Counter(_ID.sub("ID", key) for key in left if not _PASSING.match(key)), names

    @asynccontextmanager
    async def _replacement(self, case: Case, wire: FailingWire, before: set[asyncio.Task[Any]]) -> AsyncIterator[None]:
        second = InProcessWorker(self._client, self._graphs)

        async def replace() -> None:
            await wire.dead.wait()
            wire.bury()
            await case.worker.kill()
            while doomed := asyncio.all_tasks() - before:
                for task in doomed:
                    task.cancel()
                await asyncio.wait(doomed)
            await case.office.client.script("worker_release", worker=case.worker.id, crashed=True, max_crashes=3)
            await second.start()

        replacing = asyncio.create_task(replace())
        before.add(replacing)
        try:
            yield
        finally:
            if not wire.dead.is_set():
                replacing.cancel()
            await asyncio.wait({replacing})
            if not wire.dead.is_set():
                await case.worker.close()
            await second.close()
