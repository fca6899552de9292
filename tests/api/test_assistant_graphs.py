"""Drawings, schemas and subgraphs of assistants, from what a worker has published."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry, GraphSchemas
from lineshaft.assistants.queries import Queries
from lineshaft.config.settings import Settings
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client

from .gateway import Gateway, serving


def drawing(*nodes: str) -> Raw:
    return Raw(msgspec.json.encode({"nodes": [{"id": node} for node in nodes], "edges": []}))


CHILD = GraphSchemas(input_schema=Raw(b'{"title":"Child"}'))
GRAPHS = [
    GraphDescriptor(
        graph_id="nested",
        revision="1",
        name="nested",
        state_schema=Raw(b'{"title":"State"}'),
        config_schema=Raw(b"{}"),
        drawings=[drawing("child"), drawing("child:deep"), drawing("child:deep:leaf")],
        subgraphs={"child": CHILD, "child|deep": CHILD},
    ),
    GraphDescriptor(graph_id="built", revision="1", name="built", is_factory=True, drawings=[drawing("plain")]),
    GraphDescriptor(graph_id="broken", revision="", name="broken", error="RuntimeError: no key"),
]


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    for descriptor in GRAPHS:
        await GraphRegistry(client).publish(descriptor, "w")
        await AssistantStore(client).ensure_system(descriptor.graph_id, descriptor.graph_id, None)
    async with serving(client, settings) as started:
        yield started
    await client.redis.flushall()


async def nodes(gateway: Gateway, assistant: str, **query: str) -> list[str]:
    found = await gateway.json("GET", f"/assistants/{assistant}/graph", params=query)
    return [node["id"] for node in found["nodes"]]


async def test_xray_opens_as_many_levels_as_there_are(gateway: Gateway) -> None:
    assistant = system_assistant("nested")
    assert await nodes(gateway, assistant) == await nodes(gateway, "nested", xray="False") == ["child"]
    assert await nodes(gateway, assistant, xray="1") == ["child:deep"]
    for all_of_them in ("true", "True", "2", "99999999"):
        assert await nodes(gateway, "nested", xray=all_of_them) == ["child:deep:leaf"]
    for bad in ("0", "-1", "deep", "1.5", "", "TRUE", "9" * 5000):
        await gateway.json("GET", "/assistants/nested/graph", 422, params={"xray": bad})


async def test_schemas(gateway: Gateway) -> None:
    assert await gateway.json("GET", f"/assistants/{system_assistant('nested')}/schemas") == {
        "graph_id": "nested",
        "input_schema": None,
        "output_schema": None,
        "state_schema": {"title": "State"},
        "config_schema": {},
        "context_schema": None,
    }


async def test_subgraphs(gateway: Gateway) -> None:
    path = f"/assistants/{system_assistant('nested')}/subgraphs"
    direct = await gateway.json("GET", path)
    assert list(direct) == ["child"]
    assert direct["child"]["input_schema"] == {"title": "Child"} and len(direct["child"]) == 5
    assert list(await gateway.json("GET", path, params={"recurse": "1"})) == ["child"]
    assert list(await gateway.json("GET", path, params={"recurse": "true"})) == ["child", "child|deep"]
    assert list(await gateway.json("GET", f"{path}/child")) == ["child"]
    assert await gateway.json("GET", f"{path}/child%7Cdeep") == {}
    assert list(await gateway.json("GET", f"{path}/child%7Cdeep", params={"recurse": "true"})) == ["child|deep"]
    assert await gateway.json("GET", f"{path}/absent") == {}


async def test_what_cannot_be_shown(gateway: Gateway) -> None:
    for text, status in (("no-such-graph", 422), (str(uuid.uuid4()), 404)):
        for view in ("graph", "schemas", "subgraphs", "subgraphs/child"):
            await gateway.json("GET", f"/assistants/{text}/{view}", status)
    problem = await gateway.json("GET", "/assistants/broken/graph", 422)
    assert "RuntimeError: no key" in problem["detail"]
    assert (await gateway.json("GET", f"/assistants/{system_assistant('broken')}/schemas", 422))["detail"]
    built = GraphDescriptor(graph_id="built", revision="2", name="built")
    await GraphRegistry(gateway.client).publish(built, "w2")
    await gateway.json("GET", "/assistants/built/graph", 422)


async def test_a_factory_is_asked_what_it_makes_of_the_assistants_configuration(gateway: Gateway) -> None:
    body: dict[str, Any] = {"graph_id": "built", "config": {"configurable": {"extra": 1}}}
    configured = (await gateway.json("POST", "/assistants", json=body))["assistant_id"]
    blocking = gateway.client.blocking()
    lane = Queries(gateway.client, blocking)
    asked = asyncio.create_task(nodes(gateway, configured))
    while (query := await lane.take("w")) is None:
        pass
    assert (query.kind, query.graph_id) == ("describe", "built")
    assert query.args == {"config": {"configurable": {"extra": 1}}}
    made = GraphDescriptor(graph_id="built", revision="1", name="built", drawings=[drawing("extra")])
    await lane.answer(query, Raw(msgspec.json.encode(made)))
    assert await asked == ["extra"]
    assert await nodes(gateway, "built") == ["plain"]  # nothing is configured, so nobody is asked
    await blocking.aclose()
