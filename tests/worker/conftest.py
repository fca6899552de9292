"""A worker in the test's own event loop, with the graphs of `run_graphs`."""

from collections.abc import AsyncIterator, Iterator

import pytest

from lineshaft.redis import Client
from lineshaft_worker.graphs import Graphs

from . import run_graphs
from .in_process import InProcessWorker, Office
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
