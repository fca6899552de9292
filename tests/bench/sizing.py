"""What to plan for: memory of each process, of Redis for each thousand threads, and CPU of each part for each run."""

import asyncio
from pathlib import Path
from typing import Any

from tests.bench import cpu
from tests.bench.client import Client, connect
from tests.bench.memory import resident
from tests.system.cell import connected
from tests.system.server import DevServer

CONFIG = Path(__file__).parent / "langgraph.json"
AT_A_TIME = 10  # as many as a worker has slots
TURNS = 10  # of a conversation
# Seconds: events and inputs outlive their run for a while (5 minutes and a day); what stays is seen when they are gone.
GONE_SOON = {"LINESHAFT_EVENTS_TTL_SECONDS": "1", "LINESHAFT_INPUT_TTL_SECONDS": "1"}
SETTLE = 3.0

Rows = list[tuple[str, str]]


async def _talk(client: Client, threads: int, turns: int) -> None:
    """So many conversations, some at a time: a turn is a run that adds two messages of a few words."""
    free = asyncio.Semaphore(AT_A_TIME)

    async def talk() -> None:
        async with free:
            thread = await client.thread()
            for _ in range(turns):
                await client.wait("echo", thread)

    await asyncio.gather(*(talk() for _ in range(threads)))


def _held(redis: Any) -> float:
    return int(redis.info("memory")["used_memory"]) / 2**20


async def _processes(server: DevServer, threads: int) -> Rows:
    rows: Rows = []

    def note(when: str) -> None:
        rows.extend((f"{role} {number}, {when}, MiB", f"{mib:.0f}") for role, number, mib in resident(server.pid))

    async with connect(server.url) as client:
        await _talk(client, 1, 1)  # first uses
        note("idle")
        started = cpu.usage(server.pid)
        await _talk(client, threads, 1)
        spent = cpu.usage(server.pid).since(started)
        note(f"after {threads} runs")
    for role in ("gateway", "worker", "redis"):
        rows.append((f"{role}, CPU ms for a thread and its run", f"{spent[role] * 1000 / threads:.2f}"))
    return rows


async def _redis(server: DevServer, threads: int, when: str) -> Rows:
    rows: Rows = []
    async with connect(server.url) as client:
        with connected(server) as redis:
            await _talk(client, 1, 1)
            for turns, count in ((1, threads), (TURNS, max(1, threads // TURNS))):
                before = _held(redis)
                await _talk(client, count, turns)
                await asyncio.sleep(SETTLE)
                grown = (_held(redis) - before) / count * 1000
                rows.append((f"Redis, 1,000 threads, runs of each: {turns}, {when}, MiB", f"{grown:.1f}"))
    return rows


def report(folder: Path, threads: int) -> str:
    """Start servers of one gateway and one worker, and measure."""
    rows: Rows = []
    for name, env in (("at once", {}), ("a day later", GONE_SOON)):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        with DevServer(place, "--workers", "1", config=CONFIG, env=env) as server:
            if not env:
                rows += asyncio.run(_processes(server, threads))
            rows += asyncio.run(_redis(server, threads, name))
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {value:>8}\n" for name, value in rows)
