"""The gateway as a process: when it starts, when it refuses to, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from lineshaft.redis.client import Client
from lineshaft.redis.stored_format import FORMAT
from tests.shared.until import until


@dataclass
class Gateway:
    process: asyncio.subprocess.Process
    url: str


async def start(uri: str, *flags: str, status_fd: int | None = None, **variables: str) -> asyncio.subprocess.Process:
    environ = {**os.environ, "REDIS_URI": uri, **variables}
    if status_fd:
        environ["LINESHAFT_STATUS_FD"] = str(status_fd)
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


@asynccontextmanager
async def running(uri: str, **variables: str) -> AsyncIterator[Gateway]:
    read_end, write_end = os.pipe()
    process = await start(uri, "--port", "0", status_fd=write_end, **variables)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as status:
        event = json.loads(await asyncio.to_thread(status.readline))
    assert event["event"] == "ready"
    yield Gateway(process, event["url"])
    if process.returncode is None:
        process.kill()
    await process.communicate()


@pytest.fixture
async def gateway(redis_uri: str) -> AsyncIterator[Gateway]:
    async with running(redis_uri) as started:
        yield started


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
        "lineshaft gateway: other machines may reach 0.0.0.0, and nobody is asked who they are: "
        "LINESHAFT_AUTH=keys asks for API keys, --no-auth accepts it"
    )


async def test_a_wrong_variable_is_one_clear_line(redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_MAX_REQUEST_BODY_BYTES", "ten")
    line = await refusal(redis_uri, "--port", "0")
    assert "HTTP_MAX_REQUEST_BODY_BYTES='ten'" in line


async def test_it_refuses_data_of_a_newer_version(client: Client, redis_uri: str) -> None:
    await client.command("SET", client.keys.format(), FORMAT + 1)
    assert "data of a newer Lineshaft" in await refusal(redis_uri)
    await client.command("DEL", client.keys.format())


HANGING_AUTH = """
import pathlib, time
from langgraph_sdk import Auth
auth = Auth()
@auth.authenticate
def who():
    pathlib.Path(__file__).with_name("asked").touch()
    time.sleep(3600)
"""


async def test_it_ends_although_the_users_authentication_never_does(redis_uri: str, tmp_path: Path) -> None:
    (tmp_path / "auth.py").write_text(HANGING_AUTH)
    section = json.dumps({"path": f"{tmp_path / 'auth.py'}:auth"})
    variables = {"LANGGRAPH_AUTH": section, "LINESHAFT_GATEWAY_GRACE_SECONDS": "0.2"}
    async with running(redis_uri, **variables) as gateway, aiohttp.ClientSession() as http:
        asking = asyncio.create_task(http.post(f"{gateway.url}/threads/search", json={}))
        await until((tmp_path / "asked").exists, "it is asked")
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), 20) == 0  # the thread sleeps for an hour
        await asyncio.gather(asking, return_exceptions=True)
