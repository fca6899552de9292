"""The demo as a project: its langgraph.json, what clients learn of its graphs, and what it may import."""

import importlib
import importlib.resources
import json
import subprocess
import sys
from typing import Any

import pytest
from langgraph.graph.state import CompiledStateGraph

CONFIG: dict[str, Any] = json.loads(importlib.resources.files("lineshaft_demo").joinpath("langgraph.json").read_text())


def load(graph_id: str) -> CompiledStateGraph[Any, Any, Any, Any]:
    module, attribute = CONFIG["graphs"][graph_id]["path"].split(":")
    graph = getattr(importlib.import_module(module), attribute)
    assert isinstance(graph, CompiledStateGraph)
    return graph


def test_every_graph_of_the_config_is_there_under_its_name() -> None:
    assert set(CONFIG["graphs"]) == {"chat", "digest"}
    for graph_id, entry in CONFIG["graphs"].items():
        assert load(graph_id).name == graph_id
        assert entry["description"]


@pytest.mark.parametrize("graph_id", ["chat", "digest"])
def test_graphs_have_json_schemas(graph_id: str) -> None:
    graph = load(graph_id)
    assert "messages" in graph.get_output_jsonschema()["properties"]
    assert graph.get_input_jsonschema()["properties"]


def test_the_input_of_digest_says_what_must_be_given() -> None:
    schema = load("digest").get_input_jsonschema()
    assert set(schema["properties"]) == {"text", "sentences", "approve"}
    assert schema["required"] == ["text"]


def test_the_demo_is_a_users_app_and_imports_nothing_of_the_server_nor_the_optional_extra() -> None:
    script = (
        "import sys, lineshaft_demo.chat, lineshaft_demo.digest; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "lineshaft_demo" in loaded
    assert not {"lineshaft", "lineshaft_api", "lineshaft_worker", "openai", "langchain_openai"} & set(loaded)
