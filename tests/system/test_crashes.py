"""What dies while runs are under way: the process that executes them, the gateway, Redis. Every process is real."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.cell import wait_for_workers
from tests.system.journal import CONFIG, PATIENCE, Journal, until
from tests.system.server import DevServer, descendants
from tests.system.watcher import Watcher

pytestmark = pytest.mark.xdist_group("crashes")

# A long lease: what happens earlier than that was not waiting for it.
LEASE = 20
LAST = 9  # the last step


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    env = {"LINESHAFT_APPENDFSYNC": "always", "LINESHAFT_LEASE_SECONDS": str(LEASE)}
    with DevServer(tmp_path_factory.mktemp("crashes"), "--workers", "2", config=CONFIG, env=env) as server:
        yield server


@pytest.fixture(autouse=True)
async def two_workers(server: DevServer) -> None:
    """The test before may have killed one, and another takes some seconds to start."""
    await wait_for_workers(server, 2)


async def has_stored(sdk: LangGraphClient, thread_id: str, steps: int) -> bool:
    state: Any = await sdk.threads.get_state(thread_id)
    return len(state["values"]["done"]) >= steps


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_run_goes_on_elsewhere_when_the_process_that_executes_it_is_killed(
    sdk: LangGraphClient, journal: Journal, thread_id: str, durability: str
) -> None:
    request = {"input": journal.input(hold=5), "durability": durability, "stream_mode": "updates"}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        first = await journal.wait_for("began", 5)
        await watcher.saw(4)
        # A busy machine may be some checkpoints behind: the promise is about those that are stored.
        await until(lambda: has_stored(sdk, thread_id, 4), "the steps before the last one are stored")
        os.kill(first.pid, signal.SIGKILL)
        killed = time.time()
        second = await journal.wait_for("began", 5, times=2)
        assert second.pid != first.pid
        # Two seconds on a machine with nothing else to do; in any case not the lease's.
        assert second.at - killed < LEASE / 2
        journal.open_gate()
        await watcher.end()
    assert watcher.attempts == [1, 2]
    begun = journal.begun()
    # The last finished step's checkpoint may still be under way when the next step begins, unless that waits for it.
    assert begun[:4] == [1] * 4 and begun[4] <= (1 if durability == "sync" else 2)
    assert begun[5:] == [2, 1, 1, 1, 1]
    assert watcher.steps[-5:] == [5, 6, 7, 8, 9]
    thread: Any = await sdk.threads.get(thread_id)
    assert (thread["status"], thread["values"]["done"]) == ("idle", list(range(10)))
    assert (await sdk.threads.get_state(thread_id))["next"] == []
    assert (await sdk.runs.get(thread_id, watcher.run_id))["status"] == "success"


async def test_a_stream_outlives_its_gateway_and_misses_nothing(
    server: DevServer, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    """The client reconnects by itself, with the id of the last event that it has seen."""
    request = {"input": journal.input(hold=5), "stream_mode": ["values", "updates"], "stream_resumable": True}
    async with Watcher(sdk, thread_id, "steps", **request) as watcher:
        await watcher.saw(4)
        [gateway] = server.find("gateway")
        os.kill(gateway, signal.SIGKILL)
        await until(lambda: gateway not in server.find("gateway"), "it is gone")
        journal.open_gate()
        await journal.wait_for("ended", LAST)
        await watcher.end()
    assert watcher.steps == list(range(10))
    assert watcher.attempts == [1]
    replay = [part async for part in sdk.runs.join_stream(thread_id, watcher.run_id, last_event_id="0")]
    assert replay == watcher.parts


async def test_no_acknowledged_run_is_lost_when_redis_is_killed(
    server: DevServer, sdk: LangGraphClient, journal: Journal, thread_id: str
) -> None:
    [redis] = server.find("redis")
    others = {process.pid for process in descendants(server.pid)} - {redis}
    acknowledged: list[tuple[str, str, str]] = []
    names = iter(range(60))

    async def keep_creating(http: httpx.AsyncClient) -> None:
        thread = (await http.post("/threads", json={})).json()["thread_id"]
        for number in names:
            body = {"assistant_id": "mark", "input": journal.input(name=str(number))}
            answer = await http.post(f"/threads/{thread}/runs", json=body)
            if answer.is_success:
                acknowledged.append((thread, answer.json()["run_id"], str(number)))
            else:
                assert answer.status_code == 503  # says so, and was not promised

    request = {"input": journal.input(hold=5), "stream_mode": "updates"}
    async with (
        Watcher(sdk, thread_id, "steps", **request) as watcher,
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as http,
    ):
        await journal.wait_for("began", 5)
        creating = asyncio.gather(*(keep_creating(http) for _ in range(4)))
        await until(lambda: len(acknowledged) >= 20, "runs are being created")
        os.kill(redis, signal.SIGKILL)
        await creating
        await until(lambda: server.find("redis") not in ([], [redis]), "there is a new Redis")
        journal.open_gate()
        await watcher.end()
        for thread, run_id, _ in acknowledged:
            await sdk.runs.join(thread, run_id)
            assert (await sdk.runs.get(thread, run_id))["status"] == "success"
    assert watcher.steps == list(range(10))
    names_run = sorted(line.name for line in journal.lines("ended") if line.name)
    assert set(names_run) >= {name for _, _, name in acknowledged}
    assert len(names_run) == len(set(names_run))
    assert {process.pid for process in descendants(server.pid)} >= others
