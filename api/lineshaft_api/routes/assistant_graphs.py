"""What an assistant's graph looks like: its drawing, its schemas, its subgraphs."""

import re
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Raw, Struct

from lineshaft.assistants.assistant import Assistant, AssistantStore
from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry, GraphSchemas
from lineshaft.errors import Invalid, NotFound
from lineshaft.ids import canonical, system_assistant
from lineshaft_api.context import CLIENT, QUERIES
from lineshaft_api.operation import AssistantId, Operation, operation

_TAGS = ("Assistants",)
_Drawing = Annotated[Raw, Meta(description="`nodes` and `edges`.", extra_json_schema={"type": "object"})]
_Schema = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
_decode = msgspec.json.Decoder(GraphDescriptor).decode


class DrawingQuery(Struct, kw_only=True):
    """How to draw."""

    xray: Annotated[str, Meta(description="Opens subgraphs: `true` all of them, a number so many levels.")] = "false"


class SubgraphsQuery(Struct, kw_only=True):
    """Which subgraphs to show."""

    recurse: Annotated[str, Meta(description="`true` shows subgraphs of subgraphs too.")] = "false"


class SubgraphSchemas(Struct, kw_only=True):
    """What a graph takes and gives: JSON Schema documents, or null where it has none."""

    input_schema: _Schema
    output_schema: _Schema
    state_schema: _Schema
    config_schema: _Schema
    context_schema: _Schema


class AssistantSchemas(SubgraphSchemas, kw_only=True):
    """The same of the graph of an assistant."""

    graph_id: str


@operation("GET", "/assistants/{assistant_id}/graph", errors=(400, 404, 503), tags=_TAGS)
async def get_assistant_graph(request: web.Request, assistant_id: str, query: DrawingQuery) -> _Drawing:
    """Draw the graph of an assistant, which may also be named by its graph.

    A graph that is built anew for each use is drawn as the assistant configures it.
    """
    level = _level(query.xray)
    try:
        named = canonical(assistant_id, "assistant")
    except Invalid:
        if await GraphRegistry(request.app[CLIENT]).get(assistant_id) is None:
            raise
        named = system_assistant(assistant_id)
    assistant = await AssistantStore(request.app[CLIENT]).get(named)
    drawings = (await _describe(request, assistant)).drawings
    if not drawings:
        raise Invalid(f"Graph {assistant.graph_id!r} cannot be drawn")
    return drawings[min(level, len(drawings) - 1)]


@operation("GET", "/assistants/{assistant_id}/schemas", errors=(400, 404, 503), tags=_TAGS)
async def get_assistant_schemas(request: web.Request, assistant_id: AssistantId) -> AssistantSchemas:
    """Read the JSON schemas of an assistant's graph."""
    assistant = await AssistantStore(request.app[CLIENT]).get(assistant_id)
    return AssistantSchemas(graph_id=assistant.graph_id, **_schemas(await _describe(request, assistant)))


@operation("GET", "/assistants/{assistant_id}/subgraphs", errors=(400, 404, 503), tags=_TAGS)
async def get_assistant_subgraphs(
    request: web.Request, assistant_id: AssistantId, query: SubgraphsQuery
) -> dict[str, SubgraphSchemas]:
    """Read the JSON schemas of the subgraphs of an assistant's graph, by namespace."""
    return await _subgraphs(request, assistant_id, query)


@operation("GET", "/assistants/{assistant_id}/subgraphs/{namespace}", errors=(400, 404, 503), tags=_TAGS)
async def get_assistant_subgraph(
    request: web.Request, assistant_id: AssistantId, namespace: str, query: SubgraphsQuery
) -> dict[str, SubgraphSchemas]:
    """Read the JSON schemas of one subgraph. An object without entries says that there is none of this namespace."""
    found = await _subgraphs(request, assistant_id, query)
    return {namespace: found[namespace]} if namespace in found else {}


async def _subgraphs(request: web.Request, assistant_id: str, query: SubgraphsQuery) -> dict[str, SubgraphSchemas]:
    assistant = await AssistantStore(request.app[CLIENT]).get(assistant_id)
    deep = query.recurse in ("true", "True")
    found = (await _describe(request, assistant)).subgraphs
    return {name: SubgraphSchemas(**_schemas(of)) for name, of in found.items() if deep or "|" not in name}


def _schemas(of: GraphSchemas) -> dict[str, Raw]:
    return {name: getattr(of, name) for name in SubgraphSchemas.__struct_fields__}


async def _describe(request: web.Request, assistant: Assistant) -> GraphDescriptor:
    """What a worker has published; a factory is asked what it makes of the assistant's configuration."""
    published = await GraphRegistry(request.app[CLIENT]).get(assistant.graph_id)
    if published is None:
        raise NotFound(f"Graph {assistant.graph_id!r} not found")
    if published.error is not None:
        raise Invalid(f"Graph {assistant.graph_id!r} does not load: {published.error}")
    config = {"configurable": {}, **assistant.config}
    if not published.is_factory or not config["configurable"]:
        return published
    return _decode(await request.app[QUERIES].ask("describe", "", assistant.graph_id, config=config))


def _level(xray: str) -> int:
    """How many levels of subgraphs to open."""
    if xray in ("false", "False"):
        return 0
    if xray in ("true", "True"):
        return 1_000  # deeper than any graph
    if not re.fullmatch("0*[1-9][0-9]{0,8}", xray):
        raise Invalid("Invalid xray value: use true, false, or how many levels to open, 1 or more")
    return int(xray)


OPERATIONS: list[Operation] = [
    get_assistant_graph,
    get_assistant_schemas,
    get_assistant_subgraphs,
    get_assistant_subgraph,
]
