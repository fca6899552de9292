"""Many streams on one gateway: what an open one holds in memory, what an event costs, how late it comes."""

import asyncio
import resource
import time
from pathlib import Path

import aiohttp
import msgspec

from tests.bench import cpu, memory
from tests.bench.client import WrongAnswer
from tests.system.server import DevServer

CONFIG = Path(__file__).parent / "large.json"
TICKS = 20  # events of a run
PACE = 0.5  # seconds between them: a few thousand events a second
OPENING = 0.02  # seconds that a stream takes to open, at most; then all begin at once
SETTLE = 1.0  # seconds, so that opening them has come to an end

_decode = msgspec.json.Decoder(dict[str, float]).decode


async def _watch(session: aiohttp.ClientSession, begins: float, late: list[float]) -> None:
    """One client with a run of its own."""
    body = {"assistant_id": "ticking", "input": {"begins": begins, "count": TICKS, "pace": PACE}}
    data = msgspec.json.encode({**body, "stream_mode": "custom"})
    found = 0
    async with session.post("/runs/stream", data=data) as response:
        async for line in response.content:
            if line.startswith(b'data: {"at"'):
                late.append(time.time() - _decode(line[6:])["at"])
                found += 1
    if found != TICKS:
        raise WrongAnswer(f"a stream had {found} events of {TICKS}")


async def _measure(server: DevServer, count: int) -> str:
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)
    headers = {"content-type": "application/json"}
    late: list[float] = []
    async with aiohttp.ClientSession(server.url, timeout=timeout, connector=connector, headers=headers) as session:
        await _watch(session, time.time(), late)  # first uses
        late.clear()
        before, begins = memory.held(server.pid), time.time() + OPENING * count + SETTLE
        watching = [asyncio.create_task(_watch(session, begins, late)) for _ in range(count)]
        await asyncio.sleep(begins - time.time() - SETTLE / 2)
        opened, started = memory.held(server.pid), cpu.usage(server.pid)
        memory.restart_peaks(server.pid)
        await asyncio.gather(*watching)
    used, peak = cpu.usage(server.pid).since(started), memory.peaks(server.pid)
    late.sort()
    events = count * TICKS
    lines = [("open streams", f"{count}"), ("events", f"{events}")]
    for role in ("gateway", "worker", "redis"):
        lines.append((f"{role}, KiB an open stream", f"{(opened[role] - before[role]) * 1024 / count:.1f}"))
        lines.append((f"{role}, most it grew by then, MiB", f"{peak[role] - opened[role]:.1f}"))
        lines.append((f"{role}, CPU ms an event", f"{used[role] * 1000 / events:.3f}"))
    lines += [(f"late, p{p}, ms", f"{late[int(len(late) * p / 100)] * 1000:.0f}") for p in (50, 95)]
    return "".join(f"{name:<36}  {value:>8}\n" for name, value in lines)


def report(folder: Path, count: int) -> str:
    """Start a server whose worker has room for all runs, and measure."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server inherits it
    with DevServer(folder, config=CONFIG, env={"N_JOBS_PER_WORKER": str(count)}) as server:
        return asyncio.run(_measure(server, count))
