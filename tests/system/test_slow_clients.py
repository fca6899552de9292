"""A client that stops reading: its gateway holds little for it, others notice nothing, and it misses nothing."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.bench import memory
from tests.system.journal import PATIENCE, until
from tests.system.server import DevServer

CONFIG = Path(__file__).parent / "graphs" / "loud.json"
# 40 MiB that nobody reads; a thread's log holds them.
EVENTS, SIZE = 640, 64_000
# MiB by which the gateway may grow meanwhile: less than half of that.
ROOM = 16.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("slow"), config=CONFIG) as server:
        yield server


def held_by_gateway(server: DevServer) -> float:
    held = memory.held(server.pid)
    if not held:
        pytest.skip("no /proc here to look at the memory of others")
    return held["gateway"]


@asynccontextmanager
async def unread(server: DevServer, graph_input: dict[str, Any]) -> AsyncIterator[asyncio.StreamReader]:
    """The stream of a run, over a connection that takes little before it is read."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=64 * 1024)
    body = json.dumps({"assistant_id": "loud", "input": graph_input, "stream_mode": "custom"})
    writer.write(
        f"POST /runs/stream HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await reader.readuntil(b"event: metadata")
    yield reader
    writer.close()


async def test_a_client_that_stops_reading_costs_nobody_else(server: DevServer, sdk: LangGraphClient) -> None:
    async for _ in sdk.runs.stream(None, "loud", input={"count": 100, "size": SIZE}, stream_mode="custom"):
        pass  # what a gateway needs for any such run
    before = held_by_gateway(server)
    async with unread(server, {"count": EVENTS, "size": SIZE}) as reader:
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            stream = sdk.runs.stream(None, "loud", input={"count": 3, "size": 10}, stream_mode="custom")
            assert len([part async for part in stream if part.event == "custom"]) == 3
            slowest = max(slowest, time.monotonic() - began)
        await until(lambda: server.output.count("run ended") == 22, "the run does not wait for its reader")
        grown = held_by_gateway(server) - before
        async with asyncio.timeout(PATIENCE):
            text = await reader.read()
        numbers = [int(number) for number in re.findall(rb'"number":(\d+)', text)]

    assert numbers == list(range(EVENTS))
    assert slowest < 5.0  # alone it takes some 20 ms
    assert grown < ROOM
