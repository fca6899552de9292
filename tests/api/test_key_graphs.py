"""Keys that are for some graphs only."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.access.api_keys import ApiKeys
from lineshaft.assistants.assistant import AssistantStore
from lineshaft.ids import system_assistant, uuid7
from lineshaft.redis.client import Client

from .gateway import Gateway, publish, serving


@pytest.fixture
async def gateway(client: Client) -> AsyncIterator[Gateway]:
    async with serving(client, msgspec.structs.replace(client.settings, lineshaft_auth="keys")) as started:
        for graph in ("mine", "theirs"):
            await AssistantStore(client).ensure_system(graph, graph, None)
            await publish(client, graph, type="object")
        yield started
        await client.redis.flushall()  # the runs wait for ever


async def key(client: Client, *graphs: str) -> dict[str, str]:
    _, token = await ApiKeys(client).create("n", "write", graphs=list(graphs))
    return {"X-Api-Key": token, "Accept": "application/json"}


async def test_a_key_runs_and_sees_its_graphs_and_no_others(gateway: Gateway, client: Client) -> None:
    limited, every = await key(client, "mine"), await key(client)
    ids: dict[str, Any] = {}
    for graph in ("mine", "theirs"):
        wanted = {"assistant_id": graph, "if_not_exists": "create"}
        run = await gateway.json("POST", f"/threads/{uuid7()}/runs", json=wanted, headers=every)
        made = await gateway.json("POST", "/assistants", json={"graph_id": graph}, headers=every)
        ids[graph] = run["thread_id"], made["assistant_id"]
    thread, assistant = ids["theirs"]
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/threads/{thread}", None),
        ("GET", f"/threads/{thread}/runs", None),
        ("POST", f"/threads/{thread}/runs", {"assistant_id": "mine"}),
        ("POST", "/runs", {"assistant_id": "theirs"}),
        ("POST", "/runs", {"assistant_id": assistant}),
        ("GET", f"/assistants/{assistant}", None),
        ("GET", f"/assistants/{system_assistant('theirs')}", None),
        ("GET", "/assistants/theirs/graph", None),
        ("POST", "/assistants", {"graph_id": "theirs"}),
        ("PATCH", f"/assistants/{ids['mine'][1]}", {"graph_id": "theirs"}),
        ("POST", "/threads", {"metadata": {"graph_id": "theirs"}}),
        ("PATCH", f"/threads/{ids['mine'][0]}", {"metadata": {"graph_id": "theirs"}}),
    ]
    for method, path, body in requests:
        await gateway.json(method, path, 404, json=body, headers=limited)
    found = await gateway.json("POST", "/assistants/search", json={}, headers=limited)
    assert {row["graph_id"] for row in found} == {"mine"}
    assert [row["thread_id"] for row in await gateway.json("POST", "/threads/search", json={}, headers=limited)] == [
        ids["mine"][0]
    ]
    assert await gateway.json("POST", "/threads/count", json={}, headers=limited) == 1
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    tools = await gateway.json("POST", "/mcp", json=call, headers=limited)
    assert "theirs" not in {tool["name"] for tool in tools["result"]["tools"]}
    own = await gateway.json("POST", f"/threads/{ids['mine'][0]}/runs", json={"assistant_id": "mine"}, headers=limited)
    assert own["status"] == "pending"


@pytest.mark.parametrize(("method", "path"), [("POST", "/store/items/search"), ("POST", "/runs/crons/search")])
async def test_what_is_of_no_graph_is_refused_and_said_why(
    gateway: Gateway, client: Client, method: str, path: str
) -> None:
    told = await gateway.json(method, path, 403, json={}, headers=await key(client, "mine"))
    assert told["detail"].startswith("This key is for some graphs only")
