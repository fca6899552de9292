"""The document says what the server does: the same routes, valid, with examples that the server itself would take."""

import inspect
import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType
from openapi_spec_validator import validate

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api import openapi
from lineshaft_api.app import OPERATIONS, build
from lineshaft_api.operation import Operation, Reply, ThreadId, operation


class Part(Struct):
    """A part."""

    size: Annotated[int, Meta(ge=1, description="How large.", examples=[3])]


class Body(Struct, kw_only=True):
    """A body."""

    name: Annotated[str, Meta(examples=["n"])]
    part: Part | UnsetType = UNSET


class Query(Struct, kw_only=True):
    """Never seen as a schema of its own."""

    limit: Annotated[int, Meta(ge=1, description="How many.")] = 10
    names: list[str] | UnsetType = UNSET


@operation("POST", "/threads/{thread_id}/things", also=(202,), errors=(404,), tags=("Things",))
async def create_thing(_request: web.Request, thread_id: ThreadId, body: Body, query: Query) -> Reply[list[Part]]:
    """Create a thing
    in two lines.

    More about it.
    """
    raise NotImplementedError(thread_id, body, query)


@operation("GET", "/stream", public=True)
async def stream_things(_request: web.Request) -> web.StreamResponse:
    """Stream."""
    raise NotImplementedError


@operation("DELETE", "/things", public=True)
async def delete_things(_request: web.Request) -> None:
    """Delete."""


def document(operations: list[Operation]) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi.document("1.2.3", operations)))
    return decoded


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    return document([create_thing, stream_things, delete_things])


def test_an_operation_is_shown_as_declared(shown: dict[str, Any]) -> None:
    validate(shown)
    entry = shown["paths"]["/threads/{thread_id}/things"]["post"]
    assert entry["operationId"] == "create_thing"
    assert entry["summary"] == "Create a thing in two lines."
    assert entry["description"] == "More about it."
    assert entry["tags"] == ["Things"]
    assert entry["parameters"] == [
        {
            "name": "thread_id",
            "in": "path",
            "required": True,
            "description": "The thread's id.",
            "schema": {"type": "string", "format": "uuid"},
        },
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "description": "How many.",
            "schema": {"type": "integer", "minimum": 1, "default": 10},
        },
        {"name": "names", "in": "query", "required": False, "schema": {"type": "array", "items": {"type": "string"}}},
    ]
    assert entry["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Body"}
    assert list(entry["responses"]) == ["200", "202", "404", "413", "422", "default"]
    items = entry["responses"]["200"]["content"]["application/json"]["schema"]
    assert items == {"type": "array", "items": {"$ref": "#/components/schemas/Part"}}
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert entry["responses"]["404"]["content"] == problem
    assert "content" not in entry["responses"]["202"]
    assert sorted(shown["components"]["schemas"]) == ["Body", "Part", "Problem"]


def test_streams_and_empty_answers_are_shown_as_such(shown: dict[str, Any]) -> None:
    assert shown["paths"]["/stream"]["get"]["responses"]["200"]["content"] == {"text/event-stream": {}}
    assert "content" not in shown["paths"]["/things"]["delete"]["responses"]["204"]


def test_two_types_of_one_name_stay_apart() -> None:
    other = msgspec.defstruct("Body", [("other", int)], module="elsewhere")

    async def handler(_request: web.Request, body: Any) -> Any: ...

    handler.__annotations__ |= {"body": other, "return": Body}
    decoded = document([operation("POST", "/things", public=True)(handler)])
    validate(decoded)
    entry = decoded["paths"]["/things"]["post"]
    sent = entry["requestBody"]["content"]["application/json"]["schema"]
    assert sent != entry["responses"]["200"]["content"]["application/json"]["schema"]
    assert {tuple(schema["properties"]) for schema in decoded["components"]["schemas"].values()} == {
        ("detail",),
        ("name", "part"),
        ("other",),
        ("size",),
    }


def test_the_document_of_the_server_is_valid() -> None:
    decoded = document(OPERATIONS)
    validate(decoded)
    schemas = decoded["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(decoded).decode()):
        assert reference in schemas


def test_every_operation_says_what_it_takes_and_gives() -> None:
    for path, entries in document(OPERATIONS)["paths"].items():
        for method, entry in entries.items():
            where = f"{method} {path}"
            if "requestBody" in entry:
                assert "schema" in entry["requestBody"]["content"]["application/json"], where
            done = {status: answer for status, answer in entry["responses"].items() if status.startswith("2")}
            # A WebSocket has none of these; an empty answer no content.
            assert done or "101" in entry["responses"], where
            assert all("content" in answer for status, answer in done.items() if status not in ("202", "204")), where
            assert "content" in entry["responses"]["default"], where


async def test_every_route_is_documented_and_every_documented_route_is_there(
    client: Client, settings: Settings
) -> None:
    routes = {
        (route.method, route.resource.canonical) for route in build(client, settings).router.routes() if route.resource
    }
    paths = document(OPERATIONS)["paths"]
    documented = {(method.upper(), path) for path, entries in paths.items() for method in entries}
    assert {(method, path) for method, path in routes if method != "HEAD"} == documented
    assert {path for method, path in routes if method == "HEAD"} == {
        path for method, path in documented if method == "GET"
    }


def test_operations_have_names_of_their_own_and_a_summary() -> None:
    names = [op.handler.__name__ for op in OPERATIONS]
    assert sorted(names) == sorted(set(names))
    assert [
        name for name, op in zip(names, OPERATIONS, strict=True) if not inspect.getdoc(op.handler) or not op.tags
    ] == []


@pytest.mark.parametrize("op", [*OPERATIONS, create_thing], ids=lambda op: op.handler.__name__)
def test_examples_are_what_the_server_takes(op: Operation) -> None:
    for annotation in (op.body, op.query, op.result, *op.params.values()):
        for example, example_of in examples(msgspec.inspect.type_info(annotation)):
            assert msgspec.convert(example, example_of) is not None


def examples(info: msgspec.inspect.Type) -> Iterator[tuple[Any, Any]]:
    """Each example inside a type, with the annotation that it should fit."""
    if isinstance(info, msgspec.inspect.StructType):
        for field in msgspec.structs.fields(info.cls):
            for meta in getattr(field.type, "__metadata__", ()):
                for example in meta.examples or ():
                    yield example, field.type
    for value in (getattr(info, name) for name in info.__struct_fields__):
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, msgspec.inspect.Field):
                yield from examples(part.type)
            elif isinstance(part, msgspec.inspect.Type):
                yield from examples(part)


def test_the_document_says_which_credentials_are_needed_and_where_none_are() -> None:
    shown = openapi.document("1", OPERATIONS, security=openapi.API_KEYS)
    validate(shown)
    assert shown["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert shown["components"]["securitySchemes"]["ApiKey"]["name"] == "X-Api-Key"
    assert shown["paths"]["/ok"]["get"]["security"] == []
    assert "security" not in shown["paths"]["/threads"]["post"]
    assert "security" not in openapi.document("1", OPERATIONS)
