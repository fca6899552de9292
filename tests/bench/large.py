"""What large things cost others: for how long one of our commands holds Redis up, and what gateway and worker hold of
them in memory. Each row is one thing that a client does, with all that it entails.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.bench import memory
from tests.bench.client import WrongAnswer
from tests.bench.redis_watch import RedisWatch, watching
from tests.system.server import DevServer

CONFIG = Path(__file__).parent / "large.json"
MIB = 1024 * 1024
INPUT_BYTES = 10 * MIB - 1024  # with the rest of the request just below the limit of a body
MESSAGES = 5_000
EVENTS = 100_000
STEPS = 5_000
SETTLE = 1.0  # seconds: what Redis and the worker still do after the answer belongs to the row
HEADER = ("", "seconds", "longest in Redis", "", "gateway", "worker")
# Steps keep a checkpoint each, whatever a worker does meanwhile.
WALK = {"durability": "sync", "config": {"recursion_limit": STEPS + 10}}


class Bench:
    """A server with large things on it, and the rows of the report."""

    def __init__(self, session: aiohttp.ClientSession, server: DevServer, redis: RedisWatch) -> None:
        self._session = session
        self._server = server
        self._redis = redis
        self.rows: list[tuple[str, ...]] = [HEADER]

    @asynccontextmanager
    async def row(self, name: str) -> AsyncIterator[None]:
        """One row: what is done inside."""
        before = memory.held(self._server.pid)
        memory.restart_peaks(self._server.pid)
        await self._redis.reset()
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        await asyncio.sleep(SETTLE)
        peaks = memory.peaks(self._server.pid)
        longest = await self._redis.longest()
        grown = [f"+{peaks[role] - before[role]:.0f} MiB" if role in before else "?" for role in ("gateway", "worker")]
        self.rows.append((name, f"{seconds:.2f}", longest.name, f"{longest.ms:.1f} ms", *grown))
        sys.stderr.write(f"{name.strip()}\n")

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its answer decoded."""
        data = None if body is None else msgspec.json.encode(body)
        async with self._session.request(method, path, data=data) as response:
            raw = await response.read()
        if response.status not in (200, 204):
            raise WrongAnswer(f"{method} {path}: {response.status} {raw[:200]!r}")
        answer = msgspec.json.decode(raw) if raw else None
        if isinstance(answer, dict) and "__error__" in answer:
            raise WrongAnswer(f"{method} {path}: {answer['__error__']}")
        return answer

    async def thread(self) -> str:
        return f"/threads/{(await self.ask('POST', '/threads', {}))['thread_id']}"

    async def stream(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> int:
        """Read a whole stream; how many events it had."""
        data = None if body is None else msgspec.json.encode(body)
        count, last = 0, b""
        async with self._session.request(method, path, data=data, headers=headers) as response:
            async for piece in response.content.iter_any():
                joined = last + piece
                count += joined.count(b"event: ")
                last = joined[-6:]  # one byte less than what is counted
        return count

    # the rows
    async def large_input(self) -> None:
        thread = await self.thread()
        async with self.row("a run with an input of 10 MiB"):
            body = {"assistant_id": "text", "input": {"text": "x" * INPUT_BYTES}}
            await self.ask("POST", f"{thread}/runs/wait", body)
        (run,) = await self.ask("GET", f"{thread}/runs")
        for name, path in (("that run", f"/runs/{run['run_id']}"), ("its thread", ""), ("its state", "/state")):
            async with self.row(f"  {name}, read"):
                await self.ask("GET", thread + path)
        async with self.row("  its history, 10 states"):
            await self.ask("POST", f"{thread}/history", {"limit": 10})
        async with self.row("  its values, streamed"):
            body = {"assistant_id": "text", "input": {"count": 1}, "stream_mode": ["values", "updates"]}
            await self.stream("POST", f"{thread}/runs/stream", body)
        async with self.row("  its state, written"):
            await self.ask("POST", f"{thread}/state", {"values": {"text": "y" * INPUT_BYTES}})
        async with self.row("  a search that finds it"):
            await self.ask("POST", "/threads/search", {"limit": 10})
        async with self.row("  the thread, deleted"):
            await self.ask("DELETE", thread)

    async def many_messages(self) -> None:
        thread = await self.thread()
        messages = [{"role": "user", "content": f"message {i} " * 10} for i in range(MESSAGES)]
        async with self.row(f"a run with {MESSAGES:,} messages"):
            await self.ask("POST", f"{thread}/runs/wait", {"assistant_id": "chat", "input": {"messages": messages}})
        async with self.row("  20 more turns"):
            for _ in range(20):
                body = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "more"}]}}
                await self.ask("POST", f"{thread}/runs/wait", body)
        async with self.row("  its messages, a page"):
            await self.ask("GET", f"{thread}/messages")
        async with self.row("  its history, 10 states"):
            await self.ask("POST", f"{thread}/history", {"limit": 10})
        async with self.row("  the thread, deleted"):
            await self.ask("DELETE", thread)
        thread = await self.thread()
        async with self.row(f"{MESSAGES:,} messages posted"):
            for message in messages:
                await self.ask("POST", f"{thread}/messages", message)
        async with self.row("  a run that takes them"):
            await self.ask("POST", f"{thread}/runs/wait", {"assistant_id": "chat"})

    async def many_events(self) -> None:
        thread = await self.thread()
        body = {
            "assistant_id": "events", "input": {"count": EVENTS}, "stream_mode": "custom", "stream_resumable": True,
        }  # fmt: skip
        async with self.row(f"a run with {EVENTS:,} events, streamed"):
            if (found := await self.stream("POST", f"{thread}/runs/stream", body)) < EVENTS:
                raise WrongAnswer(f"{found} events")
        (run,) = await self.ask("GET", f"{thread}/runs")
        async with self.row("  read again from the beginning"):
            headers = {"Last-Event-ID": "0"}
            if (found := await self.stream("GET", f"{thread}/runs/{run['run_id']}/stream", headers=headers)) < EVENTS:
                raise WrongAnswer(f"{found} events")
        async with self.row("  the next run on the thread"):
            await self.ask("POST", f"{thread}/runs/wait", {"assistant_id": "events", "input": {"count": 1}})
        async with self.row("  the thread, deleted"):
            await self.ask("DELETE", thread)

    async def many_steps(self) -> None:
        thread = await self.thread()
        body = {"assistant_id": "walker", "input": {"left": STEPS}, **WALK}
        async with self.row(f"a run of {STEPS:,} steps"):
            await self.ask("POST", f"{thread}/runs/wait", body)
        async with self.row("  its history, 1,000 states"):
            await self.ask("POST", f"{thread}/history", {"limit": 1_000})
        (run,) = await self.ask("GET", f"{thread}/runs")
        async with self.row("  the run, deleted with all it did"):
            await self.ask("DELETE", f"{thread}/runs/{run['run_id']}")
        async with self.row("  such a run, rolled back"):
            run = await self.ask("POST", f"{thread}/runs", {**body, "input": {"left": STEPS, "hold": True}})
            while (await self.ask("GET", f"{thread}/state"))["values"].get("left") != 1:  # noqa: ASYNC110 - the server's
                await asyncio.sleep(0.05)  # seconds between two looks
            await self.ask("POST", f"{thread}/runs/{run['run_id']}/cancel?wait=1&action=rollback")
        await self.ask("POST", f"{thread}/runs/wait", body)
        async with self.row("  the thread, deleted"):
            await self.ask("DELETE", thread)
        async with self.row("  the same on a thread of its own"):
            await self.ask("POST", "/runs/wait", body)

    async def measure(self, only: str) -> str:
        """The report; `only` of rows whose method's name contains it."""
        for part in (self.large_input, self.many_messages, self.many_events, self.many_steps):
            if only in part.__name__:
                await part()
        widths = [max(len(row[column]) for row in self.rows) for column in range(len(HEADER))]
        return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in self.rows)


async def _measure(server: DevServer, only: str) -> str:
    timeout = aiohttp.ClientTimeout(total=300)  # seconds, for the run of 5,000 steps on a slow machine
    headers = {"content-type": "application/json"}
    async with (
        aiohttp.ClientSession(base_url=server.url, timeout=timeout, headers=headers) as session,
        watching(server.folder / ".lineshaft") as redis,
    ):
        bench = Bench(session, server, redis)
        await bench.ask("POST", "/runs/wait", {"assistant_id": "chat", "input": {"messages": []}})  # first uses
        return await bench.measure(only)


def report(folder: Path, only: str) -> str:
    """Start a server with one worker, and measure."""
    with DevServer(folder, config=CONFIG) as server:
        return asyncio.run(_measure(server, only))
