"""The routes of assistants."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry
from lineshaft.config.settings import Settings
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.routes import assistants

Api = TestClient[web.Request, web.Application]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    """A gateway of which a worker has told that it has the graphs `chat` and `digest`."""
    for graph_id in ("chat", "digest"):
        await GraphRegistry(client).publish(GraphDescriptor(graph_id=graph_id, revision="1", name=graph_id), "w")
        await AssistantStore(client).ensure_system(graph_id, graph_id, None)
    async with TestClient(TestServer(build(client, settings, assistants.OPERATIONS))) as started:
        yield started
    await client.redis.flushall()


async def create(api: Api, **fields: Any) -> Any:
    response = await api.post("/assistants", json=fields)
    assert response.status == 200, await response.text()
    return await response.json()


async def search(api: Api, **fields: Any) -> list[str]:
    response = await api.post("/assistants/search", json=fields)
    assert response.status == 200, await response.text()
    return [row["name"] for row in await response.json()]


async def test_a_graphs_own_assistant(api: Api) -> None:
    assistant_id = system_assistant("chat")
    body = await (await api.get(f"/assistants/{assistant_id}")).json()
    assert body == {
        "assistant_id": assistant_id,
        "graph_id": "chat",
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "name": "chat",
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
        "version": 1,
        "description": None,
    }
    assert (await api.get(f"/assistants/{uuid.uuid4()}")).status == 404
    response = await api.get("/assistants/chat")
    assert (response.status, await response.json()) == (422, {"detail": "Invalid assistant ID: must be a UUID"})


async def test_create(api: Api) -> None:
    assistant_id = str(uuid.uuid4())
    body = await create(
        api, graph_id="chat", assistant_id=assistant_id.upper(), name="Support", context={"tone": "warm"}
    )
    assert body["assistant_id"] == assistant_id
    assert body["config"] == {"configurable": {"tone": "warm"}}
    assert await (await api.get(f"/assistants/{assistant_id}")).json() == body
    again = {"graph_id": "digest", "assistant_id": assistant_id}
    assert (await api.post("/assistants", json=again)).status == 409
    assert await create(api, **again, if_exists="do_nothing") == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"graph_id": None}, 422),
        ({"graph_id": 1}, 422),
        ({"graph_id": "chat", "assistant_id": "nope"}, 422),
        ({"graph_id": "chat", "if_exists": "replace"}, 422),
        ({"graph_id": "chat", "metadata": []}, 422),
        ({"graph_id": "chat", "name": None}, 422),
        ({"graph_id": "chat", "config": {"tags": "t"}}, 422),
        ({"graph_id": "chat", "config": {"recursion_limit": "5"}}, 422),
        ({"graph_id": "no-such-graph"}, 404),
        ({"graph_id": "chat", "config": {"configurable": {"a": 1}}, "context": {"b": 1}}, 400),
    ],
)
async def test_what_cannot_be_created(api: Api, body: dict[str, Any], status: int) -> None:
    response = await api.post("/assistants", json=body)
    assert response.status == status
    assert (await response.json())["detail"]


async def test_search(api: Api) -> None:
    await create(api, graph_id="chat", name="Beta", metadata={"tag": {"x": 1, "y": 1}})
    assert set(await search(api)) == {"chat", "digest", "Beta"}
    assert await search(api, metadata={"tag": {"x": 1}}) == ["Beta"]
    assert await search(api, graph_id="digest") == ["digest"]
    assert await search(api, name="BET") == ["Beta"]
    assert await search(api, sort_by="name", sort_order="asc") == ["Beta", "chat", "digest"]
    response = await api.post("/assistants/search", json={"limit": 2, "select": ["graph_id"]})
    assert response.headers["X-Pagination-Next"] == "2"
    assert [{*row} for row in await response.json()] == [{"graph_id"}, {"graph_id"}]
    assert await (await api.post("/assistants/count", json={"graph_id": "chat"})).json() == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"limit": 0}, 422),
        ({"limit": 1001}, 422),
        ({"limit": "5"}, 422),
        ({"offset": -1}, 422),
        ({"sort_by": "metadata"}, 422),
        ({"sort_order": "up"}, 422),
        ({"select": ["secret"]}, 422),
        ({"metadata": "x"}, 422),
        ({"graph_id": "nope"}, 404),
        ({"graph_id": ""}, 404),
    ],
)
async def test_searches_that_cannot_be_done(api: Api, body: dict[str, Any], status: int) -> None:
    assert (await api.post("/assistants/search", json=body)).status == status


async def test_list(api: Api) -> None:
    response = await api.get("/assistants", params={"limit": 1, "sort_by": "name", "sort_order": "asc"})
    assert [row["name"] for row in await response.json()] == ["chat"]
    assert (response.headers["X-Pagination-Next"], response.headers["X-Pagination-Total"]) == ("1", "2")
    assert (await api.get("/assistants", params={"limit": 0})).status == 422
    assert (await api.get("/assistants", params={"graph_id": "nope"})).status == 404
