"""A server for the suite, clients for it, and makers of what its cases need."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.contract.resources.checks import unique
from tests.contract.stack import serving


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("resources_project", tmp_path_factory.mktemp("resources")) as url:
        yield url


@pytest.fixture
async def api(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client on the main server."""
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        yield client


@pytest.fixture
async def sdk(base_url: str) -> AsyncIterator[LangGraphClient]:
    """The official Python client on the main server."""
    async with get_client(url=base_url, api_key=None) as client:
        yield client


@pytest.fixture(scope="session")
def auth_base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("auth")
    with serving("resources_project", folder, config="langgraph.auth.json", variable="AUTH_BASE_URL") as url:
        yield url


@pytest.fixture
async def auth_api(auth_base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client on the server started with langgraph.auth.json."""
    async with httpx.AsyncClient(base_url=auth_base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def http_base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, small = tmp_path_factory.mktemp("http"), {"HTTP_MAX_REQUEST_BODY_BYTES": "200000"}
    with serving("resources_project", folder, config="langgraph.http.json", variable="HTTP_BASE_URL", env=small) as url:
        yield url


@pytest.fixture
async def http_api(http_base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client on the server started with langgraph.http.json."""
    async with httpx.AsyncClient(base_url=http_base_url, timeout=30) as client:
        yield client


@pytest.fixture
def tag():
    """A metadata value no other test uses."""
    return unique()


@pytest.fixture
async def make_assistant(api):
    created = []

    async def make(graph_id="echo", **fields):
        response = await api.post("/assistants", json={"graph_id": graph_id, **fields})
        assert response.status_code == 200, response.text
        created.append(response.json()["assistant_id"])
        return response.json()

    yield make
    for assistant_id in created:
        await api.delete(f"/assistants/{assistant_id}")


@pytest.fixture
async def make_thread(api):
    async def make(**fields):
        response = await api.post("/threads", json=fields)
        assert response.status_code == 200, response.text
        return response.json()

    return make


@pytest.fixture
async def run(api, make_thread):
    """Run a graph on a fresh (or given) thread and wait; returns the thread id."""

    async def go(graph_id, input, thread_id=None, metadata=None, **fields):
        if thread_id is None:
            thread_id = (await make_thread(metadata=metadata or {}))["thread_id"]
        response = await api.post(
            f"/threads/{thread_id}/runs/wait",
            json={"assistant_id": graph_id, "input": input, **fields},
        )
        assert response.status_code == 200, response.text
        return thread_id

    return go


@pytest.fixture
async def make_cron(api):
    """Create a cron that is deleted when the test ends."""
    created = []

    async def make(thread_id=None, **fields):
        path = f"/threads/{thread_id}/runs/crons" if thread_id else "/runs/crons"
        body = {"assistant_id": "counter", "schedule": "0 0 1 1 *", "input": {"total": 1}, **fields}
        response = await api.post(path, json=body)
        assert response.status_code == 200, response.text
        created.append(response.json()["cron_id"])
        return response.json()

    yield make
    for cron_id in created:
        await api.delete(f"/runs/crons/{cron_id}")
