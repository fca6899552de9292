"""Streams of protocol v2 whose gateway stops, or whose run's worker dies: they go on where they were."""

import asyncio
import os
import signal
from typing import Any, Literal

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import Fleet, Gateway
from tests.system.journal import PATIENCE, Journal
from tests.system.line import Line

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.parametrize("transport", ["sse", "websocket"])]
Transport = Literal["sse", "websocket"]


class Reader:
    """Reads the steps of a run from its updates, in the background."""

    def __init__(self, thread: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._thread = thread
        self._reading = asyncio.create_task(self._read())
        self._changed = asyncio.Event()

    async def _read(self) -> None:
        async for event in self._thread.subscribe(["updates", "lifecycle"]):
            self.events.append(event)
            self._changed.set()

    @property
    def steps(self) -> list[int]:
        updates = [event["params"]["data"] for event in self.events if event["method"] == "updates"]
        return [step for update in updates for changes in update.values() for step in changes["done"]]

    @property
    def lifecycle(self) -> list[str]:
        return [event["params"]["data"]["event"] for event in self.events if event["method"] == "lifecycle"]

    async def saw(self, step: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while step not in self.steps:
                self._changed.clear()
                await self._changed.wait()

    async def end(self) -> None:
        """The SDK ends it with its run."""
        await asyncio.wait_for(self._reading, PATIENCE)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
async def test_it_goes_on_at_another_gateway(
    fleet: Fleet,
    stopping: Gateway,
    balancer: Line,
    *,
    through: LangGraphClient,
    journal: Journal,
    signum: signal.Signals,
    transport: Transport,
) -> None:
    """Nothing is missing and nothing comes twice: the other gateway gives the same events the same numbers."""
    thread_id = (await through.threads.create())["thread_id"]
    async with through.threads.stream(thread_id, assistant_id="steps", transport=transport) as thread:
        await thread.run.start(input=journal.input(hold=5))
        reader = Reader(thread)
        await journal.wait_for("began", 5)
        await reader.saw(4)
        balancer.target = fleet.gateways[0].port
        os.kill(stopping.pid, signum)
        assert await asyncio.to_thread(stopping.wait) == (0 if signum == signal.SIGTERM else -signum)
        journal.open_gate()
        await reader.end()
        assert (await asyncio.wait_for(thread.output, PATIENCE))["done"] == list(range(10))
    assert reader.steps == list(range(10))
    assert reader.lifecycle == ["running", "completed"]
    numbers = [event["seq"] for event in reader.events]
    assert numbers == sorted(set(numbers))


async def test_it_goes_on_with_the_run_in_another_worker(
    fleet: Fleet, journal: Journal, *, transport: Transport
) -> None:
    await fleet.ready()
    async with get_client(url=fleet.gateways[0].url) as sdk:
        thread_id = (await sdk.threads.create())["thread_id"]
        async with sdk.threads.stream(thread_id, assistant_id="steps", transport=transport) as thread:
            await thread.run.start(input=journal.input(hold=5))
            reader = Reader(thread)
            begun = await journal.wait_for("began", 5)
            await reader.saw(4)
            os.kill(begun.pid, signal.SIGKILL)
            journal.open_gate()
            await reader.end()
            assert (await asyncio.wait_for(thread.output, PATIENCE))["done"] == list(range(10))
        # What was not stored yet when it died is done again, and comes again.
        assert sorted(set(reader.steps)) == list(range(10))
        assert reader.lifecycle == ["running", "completed"]
