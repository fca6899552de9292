"""How soon a cancel reaches a node, and a run goes on elsewhere: on real processes, with a worker's child killed, or a
worker stopped, each time. Latencies are from the clock of this host, between lines that the nodes themselves write.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.cell import wait_for_workers
from tests.system.journal import CONFIG, Journal
from tests.system.server import DevServer, processes

# Seconds that a stopping worker lets a run go on; then it is handed back.
ENVIRONMENT = {"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "0.2"}
QUIET = 0.05  # seconds, so that the workers have gone idle


@asynccontextmanager
async def held_run(sdk: LangGraphClient) -> AsyncIterator[tuple[str, str, Journal, int]]:
    """A run whose third step waits: its thread, its id, its journal, and the process that executes it."""
    with TemporaryDirectory(prefix="ls-bench-") as folder:
        journal = Journal(Path(folder))
        thread_id = (await sdk.threads.create())["thread_id"]
        run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=2), durability="sync")
        pid = (await journal.wait_for("began", 2)).pid
        await asyncio.sleep(QUIET)
        yield thread_id, run["run_id"], journal, pid
        journal.open_gate()
        await sdk.runs.join(thread_id, run["run_id"])


async def cancel(sdk: LangGraphClient) -> float:
    """From the request to the node that hears of it."""
    async with held_run(sdk) as (thread_id, run_id, journal, _):
        asked = time.time()
        await sdk.runs.cancel(thread_id, run_id)
        return (await journal.wait_for("cancelled", 2)).at - asked


async def crash(sdk: LangGraphClient) -> float:
    """From the SIGKILL of the process that executes a run to the same step in another one."""
    async with held_run(sdk) as (_, _, journal, pid):
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        return (await journal.wait_for("began", 2, times=2)).at - killed


async def hand_back(sdk: LangGraphClient) -> float:
    """From the moment at which a stopping worker gives up a step to the same step in another one."""
    async with held_run(sdk) as (_, _, journal, pid):
        os.kill(next(process.parent for process in processes() if process.pid == pid), signal.SIGTERM)
        second = await journal.wait_for("began", 2, times=2)
        return second.at - journal.lines("cancelled", 2)[0].at


async def measure(server: DevServer, rounds: int) -> str:
    """The report: ten of each in a round."""
    lines = []
    async with get_client(url=server.url) as sdk:
        for name, once in (
            ("cancel reaches a silent node", cancel),
            ("hand-back to the step elsewhere", hand_back),
            ("child killed to the step elsewhere", crash),
        ):
            took = []
            for _ in range(10 * rounds):
                await wait_for_workers(server, 2)
                took.append(await once(sdk) * 1000)
            took.sort()
            median, slow = took[len(took) // 2], took[int(len(took) * 0.95)]
            lines.append(f"{name:<36} min {took[0]:7.1f}  p50 {median:7.1f}  p95 {slow:7.1f}  max {took[-1]:7.1f} ms\n")
    return "".join(lines)


def report(folder: Path, rounds: int) -> str:
    """Start a server with two workers, and measure."""
    with DevServer(folder, "--workers", "2", config=CONFIG, env=ENVIRONMENT) as server:
        return asyncio.run(measure(server, rounds))
