"""Descriptions of graphs: schemas of the contract's shapes, drawings, and nothing that user types can break."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from lineshaft.assistants.graphs import GraphDescriptor
from lineshaft_worker.schemas import describe, describe_configured
from tests.worker.project import Project, new_project

FLOW = """
import operator
from dataclasses import dataclass
from typing import Annotated, Any
from langgraph.graph import END, START, MessagesState, StateGraph
from typing_extensions import TypedDict

@dataclass
class Settings:
    tone: str = "plain"
    repeat: int = 1

class State(TypedDict, total=False):
    total: Annotated[int, operator.add]
    label: str

def compile(state=State, **options):
    builder = StateGraph(state, **options)
    builder.add_node("first", lambda state: {})
    builder.add_node("second", lambda state: {})
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder.compile(name="flow")

"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    structlog.reset_defaults()
    with new_project(tmp_path) as project:
        yield project


async def described(project: Project, source: str, description: str | None = None) -> GraphDescriptor:
    """The descriptor of `graph` of a file with this source."""
    spec = {"path": "./agent.py:graph", "description": description}
    return await describe(project.load({"agent": spec}, {"agent.py": FLOW + textwrap.dedent(source)}), "agent")


def plain(value: msgspec.Raw) -> Any:
    return msgspec.json.decode(value)


async def test_a_descriptor_has_the_schemas_of_the_contract(project: Project) -> None:
    with capture_logs() as logs:
        found = await described(project, "graph = compile()", description="Adds up")
    assert (found.graph_id, found.name, found.description) == ("agent", "flow", "Adds up")
    assert (found.error, found.has_messages, len(found.revision)) == (None, False, 12)
    assert plain(found.input_schema)["title"] == "State"
    assert plain(found.input_schema)["properties"]["label"]["type"] == "string"
    assert plain(found.output_schema)["title"] == "State"
    assert plain(found.state_schema) == {
        "title": "flow_state",
        "type": "object",
        "properties": {
            "total": {"title": "Total", "type": "integer", "default": None},
            "label": {"title": "Label", "type": "string", "default": None},
        },
    }
    assert plain(found.config_schema) == {}
    assert plain(found.context_schema) is None
    assert logs == []


async def test_a_context_schema_is_also_the_config_schema(project: Project) -> None:
    found = await described(project, "graph = compile(context_schema=Settings)")
    assert set(plain(found.context_schema)["properties"]) == {"tone", "repeat"}
    assert plain(found.context_schema)["properties"]["repeat"]["default"] == 1
    assert plain(found.config_schema) == plain(found.context_schema)


async def test_a_messages_channel_is_noticed(project: Project) -> None:
    found = await described(project, "graph = compile(MessagesState)")
    assert found.has_messages
    assert plain(found.state_schema)["properties"]["messages"]["type"] == "array"


async def test_channel_names_may_be_words_of_pydantic(project: Project) -> None:
    source = """
        State = TypedDict("State", {"json": str, "_hidden": int, "model_config": dict, "copy": Any})
        graph = compile(State)
    """
    properties = plain((await described(project, source)).state_schema)["properties"]
    assert list(properties) == ["json", "_hidden", "model_config", "copy"]
    assert properties["_hidden"] == {"default": None, "title": "Hidden", "type": "integer"}


async def test_typing_typeddict_has_schemas_or_a_line_with_the_cure(project: Project) -> None:
    source = """
        import typing
        class Inner(typing.TypedDict):
            n: int
        class State(typing.TypedDict):
            inner: Inner
        graph = compile(State)
    """
    with capture_logs() as logs:
        found = await described(project, source)
    if sys.version_info >= (3, 12):
        assert plain(found.input_schema)["properties"]
        assert logs == []
    else:
        schemas = (found.input_schema, found.output_schema, found.state_schema)
        assert [plain(schema) for schema in schemas] == [None, None, None]
        (line,) = logs
        assert (line["graph"], line["missing"]) == ("flow", ["input_schema", "output_schema", "state_schema"])
        assert "typing_extensions" in line["cure"]
    assert plain(found.drawings[0])["nodes"]


async def test_a_type_without_json_schema_does_not_hide_the_other_channels(project: Project) -> None:
    source = """
        class Socket: ...
        class State(TypedDict):
            socket: Socket
            label: str
        graph = compile(State)
    """
    with capture_logs() as logs:
        found = await described(project, source)
    assert plain(found.state_schema)["properties"]["label"]["type"] == "string"
    assert plain(found.state_schema)["properties"]["socket"]["default"] is None
    assert plain(found.input_schema) is None
    (line,) = logs
    assert "Pydantic" in line["cure"]


async def test_a_functional_graph_is_described(project: Project) -> None:
    source = """
        from langgraph.func import entrypoint
        @entrypoint()
        async def graph(inputs: dict[str, int]) -> int:
            return 1
    """
    found = await described(project, source)
    assert found.name == "agent"
    assert plain(found.input_schema)["type"] == "object"
    assert plain(found.output_schema)["type"] == "integer"
    assert plain(found.drawings[0])["nodes"]


async def test_a_factory_is_described_by_what_it_makes_and_named_by_its_id(project: Project) -> None:
    source = """
        def graph(config, runtime):
            assert runtime.access_context == "assistants.read"
            return compile()
    """
    found = await described(project, source)
    assert found.name == "agent"
    assert plain(found.state_schema)["title"] == "flow_state"


async def test_a_factory_that_fails_without_configuration_is_still_served(project: Project) -> None:
    with capture_logs() as logs:
        found = await described(project, "def graph(config): return compile(config['configurable']['model'])")
    assert (found.error, plain(found.input_schema)) == (None, None)
    assert len(logs) == 1


async def test_a_graph_that_does_not_load_is_described_by_its_error(project: Project) -> None:
    found = await described(project, "raise RuntimeError('no key')", description="Adds up")
    assert found.error is not None
    assert found.error.startswith("RuntimeError: no key (agent.py, line ")
    assert (found.name, found.description, found.revision) == ("agent", "Adds up", "")


async def test_the_drawing_names_nodes_and_edges(project: Project) -> None:
    drawn = plain((await described(project, "graph = compile()")).drawings[0])
    assert drawn["nodes"] == [
        {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
        {"id": "first", "type": "runnable", "data": {"name": "first"}},
        {"id": "second", "type": "runnable", "data": {"name": "second"}},
        {"id": "__end__"},
    ]
    assert {(edge["source"], edge["target"]) for edge in drawn["edges"]} == {
        ("__start__", "first"),
        ("first", "second"),
        ("second", "__end__"),
    }


NESTED = """
    middle = StateGraph(State)
    middle.add_node("inner", compile())
    middle.add_edge(START, "inner")
    outer = StateGraph(State)
    outer.add_node("child", middle.compile())
    outer.add_edge(START, "child")
"""


async def test_each_level_of_subgraphs_is_drawn_and_has_its_schemas(project: Project) -> None:
    found = await described(project, textwrap.dedent(NESTED) + "graph = outer.compile()")
    plainly, opened, fully = [{node["id"] for node in plain(drawn)["nodes"]} for drawn in found.drawings]
    assert plainly == {"__start__", "child", "__end__"}
    assert "child:inner" in opened and "child" not in opened
    assert {"child:inner:first", "child:inner:second"} <= fully
    assert list(found.subgraphs) == ["child", "child|inner"]
    assert plain(found.subgraphs["child|inner"].state_schema)["title"] == "flow_state"


async def test_a_factory_is_described_as_it_is_configured(project: Project) -> None:
    source = """
        def graph(config):
            return compile() if config["configurable"].get("nothing") is None else 1 / 0
    """
    graphs = project.load({"agent": "./agent.py:graph"}, {"agent.py": FLOW + textwrap.dedent(source)})
    found = await describe_configured(graphs, "agent", {"configurable": {}})
    assert found.is_factory and len(found.drawings) == 1
    with pytest.raises(ZeroDivisionError):
        await describe_configured(graphs, "agent", {"configurable": {"nothing": 1}})
