"""Drawings, schemas and subgraphs of an assistant."""

from tests.contract.resources.checks import assert_error, system_assistant_id


def node_ids(body):
    return {node["id"] for node in body["nodes"]}


def edges(body):
    return {(edge["source"], edge["target"]) for edge in body["edges"]}


async def test_graph_has_nodes_and_edges(api):
    body = (await api.get(f"/assistants/{system_assistant_id('counter')}/graph")).json()
    assert node_ids(body) == {"__start__", "first", "second", "__end__"}
    assert edges(body) == {("__start__", "first"), ("first", "second"), ("second", "__end__")}


async def test_xray_opens_subgraphs(api):
    body = (await api.get("/assistants/nested/graph")).json()
    assert node_ids(body) == {"__start__", "outer_first", "child", "__end__"}

    for xray in ("true", "1"):
        body = (await api.get("/assistants/nested/graph", params={"xray": xray})).json()
        assert "child" not in node_ids(body)
        assert {"child:inner_first", "child:inner_ask"} <= node_ids(body)
        assert ("outer_first", "child:inner_first") in edges(body)


async def test_graph_rejects_bad_xray(api):
    for xray in ("0", "-1", "deep"):
        assert_error(await api.get("/assistants/nested/graph", params={"xray": xray}), 422)


async def test_schemas(api):
    body = (await api.get(f"/assistants/{system_assistant_id('configured')}/schemas")).json()
    assert set(body) == {
        "graph_id",
        "input_schema",
        "output_schema",
        "state_schema",
        "config_schema",
        "context_schema",
    }
    assert body["graph_id"] == "configured"
    assert {"topic", "text"} <= set(body["state_schema"]["properties"])
    assert body["input_schema"]["properties"]["topic"]["type"] == "string"
    for name in ("config_schema", "context_schema"):
        assert set(body[name]["properties"]) == {"tone", "repeat"}
        assert body[name]["properties"]["repeat"]["default"] == 1

    body = (await api.get(f"/assistants/{system_assistant_id('counter')}/schemas")).json()
    assert body["context_schema"] is None
    assert body["state_schema"]["properties"]["total"]["type"] == "integer"


async def test_subgraphs(api):
    body = (await api.get(f"/assistants/{system_assistant_id('nested')}/subgraphs")).json()
    assert list(body) == ["child"]
    assert set(body["child"]) == {
        "input_schema",
        "output_schema",
        "state_schema",
        "config_schema",
        "context_schema",
    }
    assert {"text", "hint"} <= set(body["child"]["state_schema"]["properties"])

    path = f"/assistants/{system_assistant_id('nested')}/subgraphs"
    assert list((await api.get(f"{path}/child")).json()) == ["child"]
    assert (await api.get(f"{path}/absent")).json() == {}
    assert list((await api.get(path, params={"recurse": "true"})).json()) == ["child"]


async def test_sdk_graph_schemas_subgraphs(sdk):
    assistant_id = system_assistant_id("nested")
    assert "nodes" in await sdk.assistants.get_graph(assistant_id, xray=True)
    assert (await sdk.assistants.get_schemas(assistant_id))["graph_id"] == "nested"
    assert "child" in await sdk.assistants.get_subgraphs(assistant_id)
