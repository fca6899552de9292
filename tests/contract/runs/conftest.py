"""A server for the suite, and what its cases start from: clients, an empty thread."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.contract.runs.sse import TIMEOUT
from tests.contract.stack import serving


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("runs_project", tmp_path_factory.mktemp("runs")) as url:
        yield url


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT) as client:
        yield client


@pytest.fixture
async def sdk(base_url: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=base_url, api_key=None) as client:
        yield client


@pytest.fixture
async def thread(http: httpx.AsyncClient) -> str:
    """The id of a new, empty thread."""
    return (await http.post("/threads", json={})).json()["thread_id"]


@pytest.fixture
async def assistant_ids(http: httpx.AsyncClient) -> dict[str, str]:
    """Graph name -> id of the assistant the server made for it."""
    found = await http.post("/assistants/search", json={"limit": 100, "metadata": {"created_by": "system"}})
    return {a["graph_id"]: a["assistant_id"] for a in found.json()}
