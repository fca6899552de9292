"""The gateway as a process: when it starts, when it refuses to, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest


@dataclass
class Gateway:
    process: asyncio.subprocess.Process
    url: str


async def start(uri: str, *flags: str, status_fd: int | None = None) -> asyncio.subprocess.Process:
    environ = {**os.environ, "REDIS_URI": uri} | ({"LINESHAFT_STATUS_FD": str(status_fd)} if status_fd else {})
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lineshaft_api",
        *flags,
        env=environ,
        pass_fds=[status_fd] if status_fd else [],
        stderr=asyncio.subprocess.PIPE,
    )


async def refusal(uri: str, *flags: str) -> str:
    """The one line on standard error of a gateway that does not start."""
    process = await start(uri, *flags)
    _, said = await process.communicate()
    assert process.returncode == 1
    (line,) = said.decode().splitlines()
    return line


@pytest.fixture
async def gateway(redis_uri: str) -> AsyncIterator[Gateway]:
    read_end, write_end = os.pipe()
    process = await start(redis_uri, "--port", "0", status_fd=write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as status:
        event = json.loads(await asyncio.to_thread(status.readline))
    assert event["event"] == "ready"
    yield Gateway(process, event["url"])
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_it_says_where_it_listens_and_serves_there(gateway: Gateway) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/ok?check_db=1") as response:
        assert await response.json() == {"ok": True, "services": {"redis": "healthy"}}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_five_seconds(gateway: Gateway, signum: signal.Signals) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/ok") as response:
        assert response.status == 200
        began = time.monotonic()
        gateway.process.send_signal(signum)  # while a connection is open
        assert await gateway.process.wait() == 0
        assert time.monotonic() - began < 5
    assert gateway.process.stderr
    assert b"Traceback" not in await gateway.process.stderr.read()


async def test_a_taken_port_is_one_clear_line(gateway: Gateway, redis_uri: str) -> None:
    port = gateway.url.rpartition(":")[2]
    line = await refusal(redis_uri, "--port", port)
    assert line == f"lineshaft gateway: cannot listen on 127.0.0.1 port {port}: Address already in use"


async def test_a_redis_that_is_not_there_is_one_clear_line() -> None:
    line = await refusal("unix:///nowhere.sock", "--port", "0")
    assert line.startswith("lineshaft gateway: Redis at unix:///nowhere.sock is not reachable")


async def test_other_machines_are_let_in_only_when_told(redis_uri: str) -> None:
    line = await refusal(redis_uri, "--host", "0.0.0.0", "--port", "0")
    assert line == (
        "lineshaft gateway: other machines may reach 0.0.0.0, and nobody is asked who they are: --no-auth permits it"
    )


async def test_a_wrong_variable_is_one_clear_line(redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_MAX_REQUEST_BODY_BYTES", "ten")
    line = await refusal(redis_uri, "--port", "0")
    assert "HTTP_MAX_REQUEST_BODY_BYTES='ten'" in line
