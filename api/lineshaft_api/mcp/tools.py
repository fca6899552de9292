"""Tools: what clients of the Model Context Protocol see of assistants."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from lineshaft.assistants.assistant import Assistant, AssistantFilter, AssistantStore
from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry
from lineshaft.errors import Invalid
from lineshaft.redis.client import Client
from lineshaft_api.auth.sight import restricted
from lineshaft_api.context import CLIENT

_PAGE = 100
_EVERY = 1_000_000  # assistants; they are few, and read at once anyway
_NAME_LENGTH = 128  # what clients take
_DEFINITION = re.compile(rb'"#/\$defs/([^"]+)"')
_SAY = {"type": "string", "description": "What to say: the text of one message from the user."}
# An assistant runs whatever its graph does: nothing can be promised.
_ANNOTATIONS = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True}


class Tool(Struct, rename="camel"):
    """A tool as it is listed."""

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    annotations: dict[str, bool]


class ToolPage(Struct, rename="camel"):
    """A part of all tools; the cursor leads to the next."""

    tools: list[Tool]
    next_cursor: str | UnsetType = UNSET


async def page(request: web.Request, cursor: str) -> ToolPage:
    """A page of the tools, those of the oldest assistants first. Raises Invalid for a cursor that is none of ours."""
    if not (cursor.isascii() and cursor.isdigit()):
        raise Invalid(f"params: {cursor!r} is not a cursor; use nextCursor of the page before")
    named: dict[str, Assistant] = {}
    for assistant in await _assistants(request):
        named.setdefault(tool_name(assistant), assistant)  # a call by a name that two share is refused
    start = int(cursor)
    shown = list(named.items())[start : start + _PAGE]
    graphs = {graph.graph_id: graph for graph in await GraphRegistry(request.app[CLIENT]).list()}
    following = str(start + _PAGE) if start + _PAGE < len(named) else UNSET
    return ToolPage([_tool(name, assistant, graphs) for name, assistant in shown], following)


async def find(request: web.Request, name: str) -> Assistant:
    """The assistant behind a tool. Raises Invalid."""
    found = [assistant for assistant in await _assistants(request) if tool_name(assistant) == name]
    if not found:
        raise Invalid(f"Unknown tool: {name}")
    if len(found) > 1:
        ids = ", ".join(assistant.assistant_id for assistant in found)
        raise Invalid(f"Ambiguous tool: {name} is the name of several assistants ({ids}); rename all but one")
    return found[0]


def tool_name(assistant: Assistant) -> str:
    """The assistant's name in the characters that tools may have."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "", re.sub(r"\s", "_", assistant.name))
    return name[:_NAME_LENGTH] or assistant.assistant_id


async def graph_input(client: Client, assistant: Assistant, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the graph takes them: a text where it wants messages is one from the user."""
    graph = await GraphRegistry(client).get(assistant.graph_id)
    said = _message_lists(_schema(graph))
    return {
        name: [{"role": "user", "content": value}] if name in said and isinstance(value, str) else value
        for name, value in arguments.items()
    }


async def _assistants(request: web.Request) -> list[Assistant]:
    """Those that the caller may see."""
    where = AssistantFilter(metadata=await restricted(request, "assistants", {}))
    found = await AssistantStore(request.app[CLIENT]).search(
        where, limit=_EVERY, sort_by="created_at", descending=False
    )
    return found.rows


def _tool(name: str, assistant: Assistant, graphs: Mapping[str, GraphDescriptor]) -> Tool:
    return Tool(
        name=name,
        title=assistant.name,
        description=assistant.description or f"Tool based on the {assistant.name} assistant",
        input_schema=_shown(_schema(graphs.get(assistant.graph_id))),
        annotations=_ANNOTATIONS,
    )


def _schema(graph: GraphDescriptor | None) -> dict[str, Any]:
    """The input schema of a graph. One that takes no object, or that nobody knows, is called without any check."""
    schema = msgspec.json.decode(graph.input_schema) if graph else None
    return schema if isinstance(schema, dict) and schema.get("type", "object") == "object" else {}


def _shown(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with a text in place of each list of messages, which no model should have to fill in."""
    properties = dict(schema.get("properties", {}))
    for name in _message_lists(schema):
        properties[name] = {**_SAY, "title": properties[name].get("title", name)}
    definitions: dict[str, Any] = schema.get("$defs", {})
    shown = {**schema, "type": "object", "properties": properties}
    shown.pop("$defs", None)
    used: dict[str, Any] = {}
    waiting = [shown]
    while waiting:
        for found in _DEFINITION.findall(msgspec.json.encode(waiting.pop())):
            name = found.decode()
            if name in definitions and name not in used:
                used[name] = definitions[name]
                waiting.append(definitions[name])
    return {**shown, "$defs": used} if used else shown


def _message_lists(schema: dict[str, Any]) -> set[str]:
    """The properties that are lists of LangChain's messages: of any of its types, among them these two."""
    wanted = {"#/$defs/HumanMessage", "#/$defs/AIMessage"}
    found: set[str] = set()
    for name, shape in schema.get("properties", {}).items():
        items = shape.get("items") if isinstance(shape, dict) else None
        kinds = items.get("oneOf") or items.get("anyOf") or [] if isinstance(items, dict) else []
        if wanted <= {kind.get("$ref") for kind in kinds if isinstance(kind, dict)}:
            found.add(name)
    return found
