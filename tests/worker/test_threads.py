"""Nodes that are stuck in threads: they cost the others nothing, and in the end their worker goes."""

import asyncio
import threading

import pytest

from lineshaft_worker import threads as module
from lineshaft_worker.threads import Threads
from tests.shared.until import until


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STUCK_SECONDS", 0.05)


class Nodes:
    """Threads of one job, and functions that stay in them until a gate opens."""

    def __init__(self) -> None:
        self.replaced = 0
        self.gate = threading.Event()
        self.threads = Threads(1, self._replace)
        self._entered = 0

    def _replace(self) -> None:
        self.replaced += 1

    def _wait(self) -> None:
        self._entered += 1
        self.gate.wait()

    async def stop_one_that_is_stuck(self) -> None:
        loop = asyncio.get_running_loop()
        entered = self._entered
        node = loop.run_in_executor(self.threads, self._wait)
        await until(lambda: self._entered > entered, "it is in its thread")
        node.cancel()

    async def stuck(self, count: int) -> None:
        def known() -> int:
            return sum(not future.done() for future in self.threads._stuck)

        await until(lambda: known() == count, f"{count} are known to be stuck")


async def test_stuck_nodes_leave_room_for_others_and_end_their_worker() -> None:
    nodes = Nodes()
    for count in range(1, 3):
        await nodes.stop_one_that_is_stuck()
        await nodes.stuck(count)
    assert nodes.replaced == 0
    for _ in range(3):
        await nodes.stop_one_that_is_stuck()
    await nodes.stuck(5)
    assert nodes.replaced == 1
    assert await asyncio.get_running_loop().run_in_executor(nodes.threads, lambda: "goes on") == "goes on"
    nodes.gate.set()
    nodes.threads.shutdown()


async def test_nodes_that_come_to_their_end_after_all_are_forgiven() -> None:
    nodes = Nodes()
    for _ in range(4):
        await nodes.stop_one_that_is_stuck()
        await nodes.stuck(1)
        nodes.gate.set()
        await until(lambda: all(future.done() for future in nodes.threads._stuck), "it has ended")
        nodes.gate.clear()
    assert nodes.replaced == 0
    nodes.threads.shutdown()


async def test_a_node_that_ends_is_none_of_this() -> None:
    nodes = Nodes()
    assert await asyncio.get_running_loop().run_in_executor(nodes.threads, lambda: 5) == 5
    await nodes.stop_one_that_is_stuck()
    nodes.gate.set()
    nodes.threads.shutdown()
    await asyncio.sleep(0.1)  # the watch's own delay, twice
    assert nodes.threads._stuck == set()
