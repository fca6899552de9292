"""/mcp: assistants as tools. Other cases are in the contract suite, the official client in tests/system."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.document import AssistantDoc
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api import follow
from lineshaft_api.context import DRAINING
from lineshaft_api.mcp import tools
from tests.shared.until import until

from .gateway import MESSAGES, Attempt, Gateway, publish, serving

ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        await gateway.thread()  # makes the assistant `g` too
        yield gateway


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def rpc(gateway: Gateway, method: str, **params: Any) -> Any:
    return await gateway.json("POST", "/mcp", json=message(method, **params), headers=ACCEPT)


async def calling(
    gateway: Gateway, arguments: dict[str, Any], **params: Any
) -> tuple["asyncio.Task[tuple[aiohttp.ClientResponse, bytes]]", Attempt]:
    """A call of the tool `g`, and the run that it waits for, claimed."""
    body = message("tools/call", name="g", arguments=arguments, **params)

    async def whole() -> tuple[aiohttp.ClientResponse, bytes]:
        async with gateway.http.post("/mcp", json=body, headers=ACCEPT) as response:
            return response, await response.read()

    task = asyncio.create_task(whole())
    attempt = await gateway.claim()
    await gateway.watched(attempt.thread)
    return task, attempt


@pytest.mark.parametrize(
    ("body", "accept", "says"),
    [
        (b"{", "application/json", "Invalid JSON"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', "application/json", "Batches"),
        (b'{"id":1,"method":"ping"}', "application/json", '"jsonrpc": "2.0"'),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', "application/json", "$.id"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', "text/html", "Accept"),
    ],
)
async def test_what_is_no_call_is_refused(gateway: Gateway, body: bytes, accept: str, says: str) -> None:
    answer = await gateway.json("POST", "/mcp", 400, data=body, headers={"Accept": accept})
    assert says in answer["error"]


async def test_a_slash_at_the_end_changes_nothing(gateway: Gateway) -> None:
    async with gateway.http.post("/mcp/", json=message("ping"), headers=ACCEPT, allow_redirects=False) as response:
        assert (response.status, await response.json()) == (200, {"jsonrpc": "2.0", "id": 1, "result": {}})


async def test_an_unknown_protocol_version_gets_ours(gateway: Gateway) -> None:
    assert (await rpc(gateway, "initialize", protocolVersion="1999"))["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/list", {"cursor": "-1"}),
        ("tools/call", {}),
        ("tools/call", {"name": "g", "arguments": []}),
        ("tools/call", {"name": "g", "context": 1}),
    ],
)
async def test_bad_params(gateway: Gateway, method: str, params: dict[str, Any]) -> None:
    error = (await rpc(gateway, method, **params))["error"]
    assert error["code"] == -32602
    assert error["message"].startswith("params: ")


async def test_names_of_tools(gateway: Gateway, client: Client) -> None:
    store = AssistantStore(client)
    strange = await store.create(AssistantDoc(graph_id="g", name="¡!"))
    for name in ("My  täg.1", "g", "x" * 200):
        await store.create(AssistantDoc(graph_id="g", name=name, description=f"About {name}"))
    shown = (await rpc(gateway, "tools/list"))["result"]["tools"]
    assert {tool["name"]: (tool["title"], tool["description"]) for tool in shown} == {
        "g": ("g", "Tool based on the g assistant"),
        strange.assistant_id: ("¡!", "Tool based on the ¡! assistant"),
        "My__tg.1": ("My  täg.1", "About My  täg.1"),
        "x" * 128: ("x" * 200, "About " + "x" * 200),
    }
    assert len(shown) == 4
    error = (await rpc(gateway, "tools/call", name="g"))["error"]
    assert error["code"] == -32602
    assert "Ambiguous tool: g" in error["message"]


async def test_pages_of_tools(gateway: Gateway, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_PAGE", 2)
    for name in "abc":
        await AssistantStore(client).create(AssistantDoc(graph_id="g", name=name))
    found: list[list[str]] = []
    params: dict[str, str] = {}
    while True:
        result = (await rpc(gateway, "tools/list", **params))["result"]
        found.append([tool["name"] for tool in result["tools"]])
        if "nextCursor" not in result:
            break
        params = {"cursor": result["nextCursor"]}
    assert [len(names) for names in found] == [2, 2]
    assert {name for names in found for name in names} == set("gabc")


async def test_schemas_of_tools(gateway: Gateway, client: Client) -> None:
    """A list of messages is shown as a text, and what only it needed is not shown."""
    definitions: dict[str, Any] = {name: {"type": "object"} for name in ("AIMessage", "HumanMessage", "Part")}
    definitions["Whole"] = {"type": "object", "properties": {"part": {"$ref": "#/$defs/Part"}}}
    whole = {"$ref": "#/$defs/Whole"}
    await publish(
        client,
        "g",
        type="object",
        required=["said"],
        properties={"said": MESSAGES, "whole": whole},
        **{"$defs": definitions},
    )
    for graph_id, schema in {"any": {"type": "array"}, "none": {}}.items():
        await publish(client, graph_id, **schema)
        await AssistantStore(client).ensure_system(graph_id, graph_id, None)
    of_g, *others = [tool["inputSchema"] for tool in (await rpc(gateway, "tools/list"))["result"]["tools"]]
    assert of_g["properties"]["said"]["type"] == "string"
    assert of_g["properties"]["whole"] == whole
    assert sorted(of_g["$defs"]) == ["Part", "Whole"]
    assert of_g["required"] == ["said"]
    assert others == [{"type": "object", "properties": {}}] * 2


@pytest.mark.parametrize("said", ["hello", [{"role": "user", "content": "hello"}]])
async def test_a_text_is_a_message(gateway: Gateway, client: Client, said: Any) -> None:
    await publish(client, "g", type="object", properties={"said": MESSAGES, "plain": {"type": "string"}})
    task, attempt = await calling(gateway, {"said": said, "plain": "hello"}, context={"user": "u"})
    (run,) = await gateway.json("GET", f"/threads/{attempt.thread}/runs")
    assert run["kwargs"]["input"] == {"said": [{"role": "user", "content": "hello"}], "plain": "hello"}
    assert run["kwargs"]["context"] == {"user": "u"}
    await attempt.finish()
    await task


@pytest.mark.parametrize(
    ("shown", "status", "result"),
    [
        ([("values", {"n": [1, "é"]})], "success", {"content": [{"type": "text", "text": '{"n": [1, "é"]}'}]}),
        ([], "success", {"content": [{"type": "text", "text": "{}"}]}),
        (
            [("values", {"n": 1}), ("error", {"error": "ValueError", "message": "boom"})],
            "error",
            {"content": [{"type": "text", "text": "ValueError: boom"}], "isError": True},
        ),
    ],
)
async def test_what_a_call_answers(gateway: Gateway, shown: list[Any], status: str, result: Any) -> None:
    task, attempt = await calling(gateway, {})
    for event, data in shown:
        await attempt.emit(event, data)
    await attempt.finish(status)
    assert await (await task)[0].json() == {"jsonrpc": "2.0", "id": 1, "result": result}


@pytest.mark.parametrize(("status", "says"), [("timeout", "TimeoutError"), ("interrupted", "cancelled")])
async def test_half_a_result_is_none(gateway: Gateway, status: str, says: str) -> None:
    task, attempt = await calling(gateway, {})
    await attempt.emit("values", {"n": 1})
    handled = ""
    if status == "interrupted":
        await gateway.http.post(f"/threads/{attempt.thread}/runs/{attempt.run}/cancel")
        handled = "interrupt"
    await attempt.finish(status, handled=handled)
    result = (await (await task)[0].json())["result"]
    assert result["isError"] is True
    assert says in result["content"][0]["text"]


async def test_a_long_call_shows_life(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    body = message("tools/call", name="g")
    async with gateway.http.post("/mcp", json=body, headers=ACCEPT) as response:
        assert response.content_type == "application/json"
        assert await response.content.readexactly(2) == b"\n\n"
        await (await gateway.claim()).finish()
        assert "result" in msgspec.json.decode(await response.content.read())


async def test_a_run_ends_with_the_client_that_alone_can_read_its_answer(gateway: Gateway) -> None:
    task, attempt = await calling(gateway, {})
    task.cancel()

    async def cancelled() -> bool:
        return await gateway.desk.field(attempt.run, "cancel") == "interrupt"

    await until(cancelled, "the run is cancelled")
    await attempt.finish("interrupted", handled="interrupt")


async def test_a_gateway_that_stops_cuts_a_call_off_and_cancels_nothing(gateway: Gateway) -> None:
    """What it has done is done; its client sees a broken connection, no answer that looks whole."""
    task, attempt = await calling(gateway, {})
    await gateway.cut_off()
    with pytest.raises(aiohttp.ClientPayloadError):
        await task
    assert await gateway.desk.field(attempt.run, "cancel") is None
    await attempt.finish()


async def test_a_gateway_that_stops_gives_a_call_a_moment(gateway: Gateway) -> None:
    task, attempt = await calling(gateway, {})
    stopping = asyncio.create_task(gateway.stop())
    await until(gateway.runner.app[DRAINING].is_set, "it stops")
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    await stopping
    assert b'{\\"n\\": 1}' in (await task)[1]
