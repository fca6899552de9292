"""Health, versions, the document."""

import importlib.metadata
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build

Api = TestClient[web.Request, web.Application]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings))) as started:
        yield started


@pytest.mark.parametrize("path", ["/ok", "/", "/ok?check_db=0"])
async def test_the_gateway_says_that_it_is_there(api: Api, path: str) -> None:
    response = await api.get(path)
    assert (response.status, await response.json()) == (200, {"ok": True, "services": {}})


async def test_redis_is_looked_at_when_asked_for(api: Api) -> None:
    response = await api.get("/ok?check_db=1")
    assert (response.status, await response.json()) == (200, {"ok": True, "services": {"redis": "healthy"}})


async def test_a_redis_that_is_away_is_unhealthy() -> None:
    settings = Settings(redis_uri="unix:///nowhere.sock")
    client = Client(settings)
    async with TestClient(TestServer(build(client, settings))) as api:
        assert (await api.get("/ok")).status == 200
        response = await api.get("/ok?check_db=1")
        assert (response.status, await response.json()) == (500, {"ok": False, "services": {"redis": "unhealthy"}})
    await client.close()


async def test_a_check_that_nobody_knows_is_refused(api: Api) -> None:
    response = await api.get("/ok?check_db=x")
    assert (response.status, await response.json()) == (400, {"detail": "check_db should be 0 or 1, not 'x'"})


async def test_info_names_the_versions(api: Api) -> None:
    info = await (await api.get("/info")).json()
    assert info["version"] == importlib.metadata.version("lineshaft")
    assert info["langgraph_py_version"] == importlib.metadata.version("langgraph")
    assert info["flags"]["assistants"] is True
    assert info["flags"]["langsmith"] is False
    assert info["host"]["kind"] == "self-hosted"


async def test_the_document_is_served(api: Api) -> None:
    response = await api.get("/openapi.json")
    assert response.headers["Content-Type"] == "application/json"
    document = await response.json()
    assert document["openapi"] == "3.1.0"
    assert {"/ok", "/info", "/docs", "/openapi.json"} <= document["paths"].keys()
