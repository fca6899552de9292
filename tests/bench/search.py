"""How long searches for threads take, end to end, as the number of threads grows: they should not notice."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from lineshaft.cli.data_directory import socket_in_use
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client as Redis
from lineshaft.threads.thread import ThreadStore
from tests.bench.client import WrongAnswer, connect
from tests.bench.report import table
from tests.bench.scenarios import Figures, Scenario, Target
from tests.system.server import DevServer

OWNERS = 1000  # users, so each has a thousandth of the threads
SEARCHES = 100  # of each kind, one after another
AT_ONCE = 32  # threads that are made at the same time
BUDGET = 5.0  # ms, the median of one search

KINDS: dict[str, dict[str, Any]] = {
    "newest": {},
    "one owner": {"metadata": {"user_id": "user_7"}},
    "a third": {"metadata": {"kind": 1}},
    "owner and kind": {"metadata": {"user_id": "user_7", "kind": 1}},
    "idle": {"status": "idle"},
    "sorted by creation": {"metadata": {"kind": 1}, "sort_by": "created_at", "sort_order": "asc"},
    "page 100": {"offset": 1000},
    "nobody's": {"metadata": {"user_id": "nobody"}},
    "nested": {"metadata": {"place": {"city": "city_3"}}},
    "values of one owner": {"metadata": {"user_id": "user_7"}, "values": {"absent": 1}},
}


def report(folder: Path, count: int, config: Path) -> str:
    """A table for a hundredth, a tenth and all of `count` threads."""
    with DevServer(folder, config=config) as server:
        return uvloop.run(_measure(server, count))


async def _measure(server: DevServer, count: int) -> str:
    redis = Redis(Settings(redis_uri=f"unix://{socket_in_use(server.folder / '.lineshaft')}"))
    results: list[tuple[Scenario, Figures]] = []
    made = 0
    try:
        async with connect(server.url) as client:
            for total in (count // 100, count // 10, count):
                sys.stderr.write(f"making threads, up to {total}\n")
                await _fill(redis, made, total)
                made = total
                target = Target(client=client, pid=server.pid, data=server.folder / ".lineshaft")
                for kind, body in KINDS.items():
                    scenario = Scenario(f"{kind}, {total} threads", _searches(body), {"p50 ms": BUDGET})
                    results.append((scenario, await scenario.measure(target)))
    finally:
        await redis.close()
    return table(results)


async def _fill(redis: Redis, made: int, total: int) -> None:
    store, numbers = ThreadStore(redis), iter(range(made, total))

    async def one_after_another() -> None:
        for n in numbers:
            metadata = {"user_id": f"user_{n % OWNERS}", "kind": n % 3, "place": {"city": f"city_{n % 50}"}}
            await store.create(metadata=metadata)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


def _searches(body: dict[str, Any]) -> Callable[[Target], Awaitable[Figures]]:
    encoded = msgspec.json.encode(body)

    async def measure(target: Target) -> Figures:
        took: list[float] = []
        for _ in range(SEARCHES):
            started = time.perf_counter()
            async with target.client.session.post("/threads/search", data=encoded) as response:
                answer = await response.read()
            took.append((time.perf_counter() - started) * 1000)
            if response.status != 200:
                raise WrongAnswer(f"search: {response.status} {answer[:200]!r}")
        took.sort()
        return {"p50 ms": took[SEARCHES // 2], "p95 ms": took[SEARCHES * 95 // 100]}

    return measure
