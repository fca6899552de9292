"""/mcp: each assistant is a tool (Model Context Protocol, streamable HTTP, JSON replies only)."""

import ast
import json

import pytest

ACCEPT = {"accept": "application/json, text/event-stream"}


async def post(http, body, headers=ACCEPT):
    return await http.post("/mcp", json=body, headers=headers)


async def rpc(http, method, params=None, id=1):
    body = {"jsonrpc": "2.0", "id": id, "method": method}
    response = await post(http, body | ({} if params is None else {"params": params}))
    assert response.status_code == 200, response.text
    reply = response.json()
    assert (reply["jsonrpc"], reply["id"]) == ("2.0", id)
    return reply


async def call(http, name, arguments=None, **params):
    return await rpc(http, "tools/call", {"name": name, "arguments": arguments or {}, **params})


def text(reply):
    (content,) = reply["result"]["content"]
    assert content["type"] == "text"
    return content["text"]


def values_of(reply):
    """The state in a tool's text: the reference writes Python, JSON is as good."""
    try:
        return json.loads(text(reply))
    except ValueError:
        return ast.literal_eval(text(reply))


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_initialize_agrees_to_known_versions(http, version):
    result = (await rpc(http, "initialize", {"protocolVersion": version}))["result"]
    assert result["protocolVersion"] == version
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    assert result["serverInfo"].keys() >= {"name", "version"}


async def test_no_session_id_is_given_out(http):
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    assert "mcp-session-id" not in (await post(http, body)).headers


async def test_notifications_and_responses_are_accepted_silently(http):
    for body in (
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ):
        response = await post(http, body)
        assert (response.status_code, response.content) == (202, b"")


async def test_ping(http):
    assert (await rpc(http, "ping", id="text id"))["result"] == {}


async def test_tools_list_has_one_tool_per_assistant(http):
    tools = (await rpc(http, "tools/list"))["result"]["tools"]
    assert {"chat", "linear", "ask", "func"} <= {t["name"] for t in tools}
    for tool in tools:
        assert tool.keys() >= {"name", "description", "inputSchema"}
        assert tool["inputSchema"]["type"] == "object"


async def test_tool_schema_is_the_input_schema_of_the_graph(http):
    tools = {t["name"]: t for t in (await rpc(http, "tools/list"))["result"]["tools"]}
    assert tools["slow"]["inputSchema"]["properties"]["steps"]["type"] == "integer"


async def test_tools_call_runs_the_graph_and_returns_its_values_as_text(http):
    reply = await call(http, "linear", {"log": ["x"]})
    assert "isError" not in reply["result"]
    assert values_of(reply) == {"log": ["x", "a", "b", "c"]}


async def test_tools_call_takes_a_message_as_a_string(http):
    values = values_of(await call(http, "chat", {"messages": "hello"}))
    assert [m["content"] for m in values["messages"]] == ["hello", "echo: hello"]


async def test_a_failing_graph_is_a_tool_error(http):
    reply = await call(http, "linear", {"fail_at": "b"})
    assert reply["result"]["isError"] is True
    assert "ValueError" in text(reply)


async def test_an_interrupt_is_part_of_the_values(http):
    values = values_of(await call(http, "ask"))
    assert values["__interrupt__"][0]["value"] == {"question": "what about it?"}


async def test_unknown_tool(http):
    assert (await call(http, "nope"))["error"]["code"] == -32602


@pytest.mark.parametrize("method", ["resources/list", "prompts/list", "nope"])
async def test_unknown_method(http, method):
    assert (await rpc(http, method))["error"]["code"] == -32601


async def test_malformed_json_is_400(http):
    assert (await http.post("/mcp", content=b"{", headers=ACCEPT)).status_code == 400


async def test_get_and_delete_are_not_offered(http):
    assert (await http.get("/mcp", headers=ACCEPT)).status_code == 405
    assert (await http.delete("/mcp")).status_code in (404, 405)
