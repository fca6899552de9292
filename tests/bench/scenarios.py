"""What is measured: each scenario does bounded work against a running server and says what it cost."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import redis.asyncio
from msgspec import field

from tests.bench import cpu, floor
from tests.bench.client import Client
from tests.bench.redis_watch import socket_of

# One value per name, in the unit that the name ends with.
Figures = dict[str, float]

SETTLE = 0.1  # seconds: what the server still does after its last answer belongs to the work before
QUIET = 0.05  # seconds between two pick-ups, so that the worker has gone idle
IDLE = 5.0  # seconds of watching an idle server; its slowest beat is shorter
CONCURRENCY = 8  # fewer than a worker's jobs, so that no run waits for a slot


class Target(msgspec.Struct, frozen=True):
    """A running server: its API, the process that was started, and where its data are."""

    client: Client
    pid: int
    data: Path


class Scenario(msgspec.Struct, frozen=True):
    """One row or a few of the report, and what the figures should not exceed."""

    name: str
    measure: Callable[[Target], Awaitable[Figures]]
    budgets: Figures = field(default_factory=dict)
    rounds: int | None = None  # None: as many as asked for


async def _timed(count: int, concurrency: int, work: Callable[[int], Awaitable[object]]) -> list[float]:
    """Seconds that work(0) ... work(count - 1) took, sorted."""
    took: list[float] = []
    numbers = iter(range(count))

    async def one_after_another() -> None:
        for i in numbers:
            started = time.perf_counter()
            await work(i)
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))
    return sorted(took)


async def _threads(client: Client, count: int) -> list[str]:
    return [await client.thread() for _ in range(count)]


async def _cost(target: Target, graph: str, count: int, work: Callable[[str], Awaitable[object]]) -> Figures:
    """CPU of one run on the server beside that of langgraph alone, measured one right after the other."""
    threads = await _threads(target.client, count)
    await work(threads[0])
    alone = await floor.cpu_ms(graph, count)
    before, started = cpu.usage(target.pid), time.perf_counter()
    await _timed(count, CONCURRENCY, lambda i: work(threads[i]))
    seconds = time.perf_counter() - started
    await asyncio.sleep(SETTLE)
    used = cpu.usage(target.pid).since(before)
    figures = {"runs/s": count / seconds, "langgraph alone, CPU ms": alone}
    if used:
        figures["CPU ms"] = used.total * 1000 / count
        figures["times langgraph alone"] = figures["CPU ms"] / alone
        figures |= {f"CPU ms {role}": seconds * 1000 / count for role, seconds in sorted(used.items())}
    return figures


async def one_node(target: Target) -> Figures:
    return await _cost(target, "echo", 200, lambda thread: target.client.wait("echo", thread))


async def ten_nodes(target: Target) -> Figures:
    return await _cost(target, "steps", 60, lambda thread: target.client.wait("steps", thread))


async def tokens(target: Target) -> Figures:
    return await _cost(target, "tokens", 30, lambda thread: target.client.stream("tokens", thread))


async def alone(target: Target) -> Figures:
    """Latency of a one-node run that has the server to itself."""
    threads = await _threads(target.client, 50)
    took = await _timed(50, 1, lambda i: target.client.wait("echo", threads[i]))
    return {"p50 ms": took[25] * 1000, "p95 ms": took[47] * 1000}


async def enqueue(target: Target) -> Figures:
    """Until a run is acknowledged, one after another; the gateway does nothing else meanwhile."""
    threads = await _threads(target.client, 200)
    runs: list[str] = []

    async def work(i: int) -> None:
        runs.append(await target.client.enqueue("echo", threads[i]))

    before = cpu.usage(target.pid)
    took = await _timed(200, 1, work)
    used = cpu.usage(target.pid).since(before)
    for thread, run in zip(threads, runs, strict=True):
        await target.client.join(thread, run)
    figures = {"p50 ms": took[100] * 1000}
    if "gateway" in used:
        figures["CPU ms gateway"] = used["gateway"] * 1000 / 200
    return figures


async def pick_up(target: Target) -> Figures:
    """From the acknowledgement of a run to the first line of its first node, on an idle worker."""
    waited: list[float] = []
    for thread in await _threads(target.client, 40):
        await asyncio.sleep(QUIET)
        run = await target.client.enqueue("clock", thread)
        acknowledged = time.time()
        waited.append((await target.client.join(thread, run))["started"] - acknowledged)
    waited.sort()
    return {"p50 ms": waited[20] * 1000, "p95 ms": waited[38] * 1000}


async def idle(target: Target) -> Figures:
    """What a server without work asks of Redis and of the CPU."""
    before, started = cpu.usage(target.pid), time.perf_counter()
    sent = await _commands(target, IDLE)
    seconds = time.perf_counter() - started
    used = cpu.usage(target.pid).since(before)
    figures = {"commands/s": sent / seconds}
    return figures | {f"CPU % {role}": spent * 100 / seconds for role, spent in sorted(used.items())}


async def _commands(target: Target, seconds: float) -> int:
    """Commands that reach Redis in `seconds`; those that scripts call inside it do not count."""
    sent = 0
    connection = redis.asyncio.Redis(unix_socket_path=socket_of(target.data))
    async with connection, connection.monitor() as monitor:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for command in monitor.listen():
                    sent += command["client_type"] != "lua"
    return sent


# The budgets were set where langgraph alone took 0.76 ms (one node), 2.75 ms (ten) and 7.75 ms (200 tokens). Those in
# multiples of it are the same ones, and hold on a slower machine too.
SCENARIOS = [
    Scenario("one-node run", one_node, {"CPU ms": 3.5, "times langgraph alone": 4.6}),
    Scenario("one-node run, alone", alone, {"p50 ms": 12}),
    Scenario("10-node run", ten_nodes, {"CPU ms": 5.5, "times langgraph alone": 2.0}),
    Scenario("200 tokens streamed", tokens, {"CPU ms": 14, "times langgraph alone": 1.8}),
    Scenario("enqueue", enqueue, {"CPU ms gateway": 0.5}),
    Scenario("idle pick-up", pick_up, {"p50 ms": 5}),
    Scenario("idle server, 1 worker", idle, {"commands/s": 3}, rounds=1),
]
