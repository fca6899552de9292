"""Fixtures for tests with real processes."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.journal import Journal
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
