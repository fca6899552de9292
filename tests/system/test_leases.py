"""Workers that cannot say goodbye: nobody is left to see them die, or they only slept. Their lease's end decides."""

import os
import signal
from collections.abc import Iterator

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.cell import KEYS, connected, wait_for_workers
from tests.system.journal import CONFIG, Journal, until
from tests.system.server import DevServer, is_alive, processes
from tests.system.watcher import Watcher

pytestmark = pytest.mark.xdist_group("leases")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    # Seconds: short enough to wait for, and longer than a busy machine keeps the other worker from renewing its own.
    env = {"LINESHAFT_LEASE_SECONDS": "2"}
    with DevServer(tmp_path_factory.mktemp("leases"), "--workers", "2", config=CONFIG, env=env) as server:
        yield server


@pytest.fixture(autouse=True)
async def two_workers(server: DevServer) -> None:
    await wait_for_workers(server, 2)


def parent_of(pid: int) -> int:
    return next(process.parent for process in processes() if process.pid == pid)


def traces(server: DevServer, thread_id: str, run_id: str) -> list[object]:
    """All that a run could change of its thread."""
    with connected(server) as client:
        found: list[object] = [client.hgetall(KEYS.thread(thread_id)), client.hgetall(KEYS.thread_snapshot(thread_id))]
        found += [client.hgetall(KEYS.run(run_id)), client.xrange(KEYS.thread_events(thread_id))]
        found += [client.hgetall(KEYS.checkpoint_headers(thread_id, "")), sorted(client.keys(f"*{thread_id}*"))]
        return found


async def test_a_run_goes_on_elsewhere_when_its_whole_worker_is_killed(
    sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    request = {"input": journal.input(hold=5), "durability": "sync", "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        await watcher.saw(4)
        os.kill(parent_of(first.pid), signal.SIGKILL)
        second = await journal.wait_for("began", 5, times=2)
        assert second.pid != first.pid
        assert not is_alive(first.pid)  # its parent took it along
        journal.open_gate()
        await watcher.end()
    assert watcher.attempts == [1, 2]
    assert watcher.steps == list(range(10))
    assert journal.begun() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]


async def test_a_worker_that_slept_through_its_lease_changes_nothing_when_it_wakes(
    server: DevServer, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    request = {"input": journal.input(hold=5), "durability": "sync", "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        await watcher.saw(4)
        parent = parent_of(first.pid)
        try:
            os.kill(parent, signal.SIGSTOP)  # first, or it would end a child that shows no life
            os.kill(first.pid, signal.SIGSTOP)
            second = await journal.wait_for("began", 5, times=2)
            assert second.pid != first.pid
            journal.open_gate()
            await watcher.end()
            before = traces(server, thread_id, watcher.run_id)
            # It finishes its step, and tries to store what came of it.
            os.kill(first.pid, signal.SIGCONT)
            await until(lambda: "a run was lost to another worker" in server.output, "its write was refused")
        finally:
            os.kill(first.pid, signal.SIGCONT)
            os.kill(parent, signal.SIGCONT)
    await until(lambda: not is_alive(first.pid), "its parent has replaced it")
    assert traces(server, thread_id, watcher.run_id) == before
    assert watcher.attempts == [1, 2]
    assert watcher.steps == list(range(10))
    assert journal.begun() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert {line.pid for line in journal.lines("ended", 9)} == {second.pid}
