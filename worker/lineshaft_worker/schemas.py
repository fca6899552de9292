"""Describes a loaded graph for the registry: its JSON schemas, its drawing, what it can take."""

from collections.abc import Callable
from typing import Any

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from pydantic import ConfigDict, Field, PydanticUserError, create_model
from pydantic.errors import PydanticErrorCodes
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from lineshaft.assistants.graphs import GraphDescriptor, GraphSchemas
from lineshaft.telemetry import log

from .graphs import Graph, Graphs, LoadedGraph

logger = log.get("graphs")

# Pydantic's word for `typing.TypedDict` on a Python that lacks what it needs of it.
_OLD_TYPED_DICT: PydanticErrorCodes = "typed-dict-version"
_CURE = "import TypedDict from typing_extensions (typing.TypedDict has no JSON schema before Python 3.12)"


async def describe(graphs: Graphs, graph_id: str, store: BaseStore | None = None) -> GraphDescriptor:
    """The descriptor of a graph, whether it loads or not. Never raises for what user code does.

    A factory is called once for it, without configuration and with `access_context` "assistants.read".
    """
    spec = graphs.config.graphs[graph_id]
    if error := graphs.errors.get(graph_id):
        return GraphDescriptor(
            graph_id=graph_id, revision="", name=graph_id, description=spec.description, error=error.text
        )
    try:
        return await describe_configured(graphs, graph_id, {"configurable": {}}, store)
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a factory; its runs bring more
        logger.warning("a graph factory failed when asked for its schemas", graph=graph_id, error=str(failure))
        return GraphDescriptor(
            graph_id=graph_id, revision=graphs.loaded[graph_id].revision, name=graph_id, description=spec.description,
            is_factory=True,
        )  # fmt: skip


async def describe_configured(
    graphs: Graphs, graph_id: str, config: RunnableConfig, store: BaseStore | None = None
) -> GraphDescriptor:
    """What a factory makes of a configuration. Raises Invalid, NotFound, what the factory raises."""
    async with graphs.open(graph_id, config, checkpointer=None, store=store, access="assistants.read") as graph:
        return _describe(graph, graphs.loaded[graph_id], is_factory=graphs.is_factory(graph_id))


def schemas(graph: Graph) -> dict[str, Any]:
    """The five JSON schemas of a graph or subgraph; null for one that cannot be made, with one log line about why."""
    failures: list[Exception] = []

    def attempt(make: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        try:
            return make()
        except Exception as failure:  # noqa: BLE001 - pydantic's errors, and whatever the user's types raise
            failures.append(failure)
            return None

    context_schema = attempt(graph.get_context_jsonschema)
    found = {
        "input_schema": attempt(graph.get_input_jsonschema),
        "output_schema": attempt(graph.get_output_jsonschema),
        "state_schema": attempt(lambda: _state_schema(graph)),
        # Clients read the settings of a graph from either of the two.
        "config_schema": context_schema if graph.context_schema else {},
        "context_schema": context_schema,
    }
    if failures:
        missing = [name for name, schema in found.items() if schema is None and name != "context_schema"]
        logger.warning("a graph has no JSON schema", graph=graph.name, missing=missing, cure=_cure(failures[0]))
    return found


def drawing(graph: Graph, xray: int | bool = False) -> dict[str, Any]:
    """Nodes and edges as clients draw them; `xray` opens subgraphs, a number to that depth."""
    drawn = graph.get_graph(xray=xray).to_json()
    for node in drawn["nodes"]:
        if isinstance(data := node.get("data"), dict):
            data.pop("id", None)  # the class of ours or langgraph's that runs the node: nothing for clients
    return drawn


def _describe(graph: Graph, loaded: LoadedGraph, *, is_factory: bool) -> GraphDescriptor:
    spec = loaded.spec
    children = dict(graph.get_subgraphs(recurse=True))
    depth = max((namespace.count("|") + 1 for namespace in children), default=0)
    try:
        drawings = [_raw(drawing(graph, xray=level)) for level in range(depth + 1)]
    except Exception as failure:  # noqa: BLE001 - drawing walks through the user's nodes
        logger.warning("a graph cannot be drawn", graph=spec.graph_id, error=str(failure))
        drawings = []
    own = _published(graph)
    return GraphDescriptor(
        graph_id=spec.graph_id,
        revision=loaded.revision,
        # What a factory calls its graph may differ from call to call.
        name=spec.graph_id if is_factory else graph.name,
        description=spec.description,
        has_messages="messages" in graph.channels,
        is_factory=is_factory,
        drawings=drawings,
        # A subgraph that is no Pregel (a remote one) has no schemas to show.
        subgraphs={name: _published(child) for name, child in children.items() if isinstance(child, Pregel)},
        input_schema=own.input_schema,
        output_schema=own.output_schema,
        state_schema=own.state_schema,
        config_schema=own.config_schema,
        context_schema=own.context_schema,
    )


def _published(graph: Graph) -> GraphSchemas:
    return GraphSchemas(**{name: _raw(schema) for name, schema in schemas(graph).items()})


def _state_schema(graph: Graph) -> dict[str, Any]:
    """A schema of all channels that a state shows, each optional."""
    channels = {
        name: channel for name in graph.stream_channels_list if isinstance(channel := graph.channels[name], BaseChannel)
    }
    # Channel names stand as aliases: as field names, some (`json`, `_x`) would collide with pydantic's own.
    fields: dict[str, Any] = {
        f"channel{n}": (channel.ValueType, Field(default=None, alias=name))
        for n, (name, channel) in enumerate(channels.items())
    }
    model = create_model(f"{graph.name}_state", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    schema: dict[str, Any] = model.model_json_schema(schema_generator=_Lenient)
    return schema


class _Lenient(GenerateJsonSchema):
    """Says "anything" of a type that has no JSON schema, so that one such channel does not hide the others."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        return {}


def _cure(failure: Exception) -> str:
    if isinstance(failure, PydanticUserError) and failure.code == _OLD_TYPED_DICT:
        return _CURE
    return f"{type(failure).__name__}: {' '.join(str(failure).split())}"


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
