"""Two workers under many runs: each run ends once, in its thread's order, and nothing is left behind."""

import asyncio
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from lineshaft.redis.lasting_keys import LASTING
from tests.system.cell import KEYS, connected, wait_for_workers
from tests.system.journal import CONFIG, Journal
from tests.system.server import DevServer

pytestmark = pytest.mark.xdist_group("fleet")

THREADS = 50
RUNS_PER_THREAD = 4
CONNECTIONS = 8  # requests at a time
# Of a fleet that lives: which workers there are. What each of them holds is empty, and so not there, when all is done.
LIVING = (KEYS.workers(),)
# The allow list's patterns for records would let these pass, which die some time after their run.
MORTAL = ("ls:run:*:input", "ls:thread:*:events")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("fleet"), "--workers", "2", config=CONFIG) as server:
        yield server


async def test_every_run_ends_once_in_order_and_leaves_nothing_behind(
    server: DevServer, sdk: LangGraphClient, journal: Journal
) -> None:
    await wait_for_workers(server, 2)
    room = asyncio.Semaphore(CONNECTIONS)

    async def work(thread: int) -> list[str]:
        """Create a thread's runs one after another; returns how they ended."""
        async with room:
            thread_id = (await sdk.threads.create())["thread_id"]
            runs = [
                await sdk.runs.create(thread_id, "mark", input=journal.input(name=f"{thread}.{number}"))
                for number in range(RUNS_PER_THREAD)
            ]
        for run in runs:
            async with room:
                await sdk.runs.join(thread_id, run["run_id"])
        async with room:
            return [(await sdk.runs.get(thread_id, run["run_id"]))["status"] for run in runs]

    ends = await asyncio.gather(*(work(thread) for thread in range(THREADS)))
    assert ends == [["success"] * RUNS_PER_THREAD] * THREADS

    done: dict[str, list[str]] = {}
    for line in journal.lines("began") + journal.lines("ended"):
        done.setdefault(line.what, []).append(line.name)
    for names in done.values():
        in_order = [[name for name in names if name.startswith(f"{thread}.")] for thread in range(THREADS)]
        assert in_order == [[f"{thread}.{n}" for n in range(RUNS_PER_THREAD)] for thread in range(THREADS)]
    assert len({line.pid for line in journal.lines("began")}) == 2

    with connected(server) as client:
        assert immortal(client) == []


def immortal(client: Any) -> list[str]:  # redis.Redis, see cell.py
    """The keys that have no TTL and should have one."""
    names = [key.decode() for key in client.scan_iter(count=1000) if client.ttl(key) == -1]
    allowed = (*LASTING, *LIVING)
    return [
        name
        for name in names
        if any(fnmatch(name, pattern) for pattern in MORTAL) or not any(fnmatch(name, pattern) for pattern in allowed)
    ]
