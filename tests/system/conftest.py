"""Fixtures for tests with real processes."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import Fleet, Gateway
from tests.system.journal import Journal
from tests.system.line import Line
from tests.system.server import DevServer


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Callable[..., DevServer]]:
    """Makes a DevServer in the test's folder; what is still running at the end is killed."""
    made: list[DevServer] = []

    def make(*args: str, **options: Any) -> DevServer:
        made.append(DevServer(tmp_path, *args, **options))
        return made[-1]

    yield make
    for server in made:
        if server.running:
            server.kill()


@pytest.fixture
async def sdk(server: DevServer) -> AsyncIterator[LangGraphClient]:
    """The official client, of the server that the module's tests share (each module has its own fixture `server`)."""
    async with get_client(url=server.url) as client:
        yield client


@pytest.fixture
async def thread_id(sdk: LangGraphClient) -> str:
    return str((await sdk.threads.create())["thread_id"])


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """A gateway and two workers for all tests of faults: those have the xdist group `faults`, so it is made once."""
    with Fleet(env={"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "1"}) as fleet:
        fleet.gateway(LINESHAFT_PROBES_PORT=str(fleet.probes_port))
        for _ in range(2):
            fleet.worker()
        yield fleet


@pytest.fixture
def grace() -> float:
    return 2.0


@pytest.fixture
async def stopping(fleet: Fleet, grace: float) -> AsyncIterator[Gateway]:
    """A gateway besides the one that stays."""
    gateway = fleet.gateway(LINESHAFT_GATEWAY_GRACE_SECONDS=str(grace))
    await fleet.ready()
    yield gateway
    if gateway.running:
        gateway.kill()


@pytest.fixture
def balancer(stopping: Gateway) -> Iterator[Line]:
    """The address that clients know: of the gateway that will stop, and then of the other."""
    with Line(stopping.port) as line:
        yield line


@pytest.fixture
async def through(balancer: Line) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=f"http://127.0.0.1:{balancer.port}") as client:
        yield client
