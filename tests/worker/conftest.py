"""A worker in the test's own event loop, with the graphs of `run_graphs`."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from lineshaft.redis.client import Client
from lineshaft_worker.graphs import Graphs

from . import run_graphs
from .asker import Asker
from .in_process import Hire, InProcessWorker, Office
from .player import Opener, Player
from .project import new_project


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graphs]:
    """The graphs of `run_graphs`, loaded as a worker loads them."""
    with new_project(tmp_path_factory.mktemp("project")) as project:
        graphs = project.load({name: f"{run_graphs.__name__}:{name}" for name in run_graphs.NAMES}, {})
        assert not graphs.errors
        yield graphs


@pytest.fixture
async def office(client: Client) -> AsyncIterator[Office]:
    run_graphs.reset()
    office = Office(client)
    await office.publish(*run_graphs.NAMES)
    yield office
    await office.leave()


@pytest.fixture
async def worker(client: Client, served: Graphs, office: Office) -> AsyncIterator[InProcessWorker]:  # noqa: ARG001 - the office closes after the worker
    worker = InProcessWorker(client, served)
    await worker.start()
    yield worker
    await worker.close()


@pytest.fixture
async def hire(client: Client, served: Graphs, office: Office) -> AsyncIterator[Hire]:  # noqa: ARG001 - as above
    """Starts workers of certain sizes."""
    hired: list[InProcessWorker] = []

    async def hire(**options: Any) -> InProcessWorker:
        hired.append(InProcessWorker(client, served, **options))
        await hired[-1].start()
        return hired[-1]

    yield hire
    for worker in hired:
        await worker.close()


@pytest.fixture
async def player(served: Graphs) -> AsyncIterator[Opener]:
    """Opens a graph of `run_graphs` for a player."""
    run_graphs.reset()
    opened = []

    async def open_(name: str) -> Player:
        opening = served.open(name, {"configurable": {}}, checkpointer=InMemorySaver(), store=None)
        opened.append(opening)
        return Player(await opening.__aenter__())

    yield open_
    for opening in reversed(opened):
        await opening.__aexit__(None, None, None)


@pytest.fixture
async def asker(client: Client, served: Graphs, office: Office) -> AsyncIterator[Asker]:
    await office.lease(office.worker)
    yield Asker(client, served, office.worker)
    # No change may leave its thread locked, whatever became of it.
    assert not await client.command("SMEMBERS", client.keys.worker_runs(office.worker))


@pytest.fixture
async def thread(office: Office) -> str:
    return await office.thread()
