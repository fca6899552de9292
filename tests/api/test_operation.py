"""How operations are bound: what reaches the handler, and what becomes of its result, over real HTTP."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.operation import Reply, ThreadId, operation

LIMIT = 4096  # bytes of a body
Api = TestClient[web.Request, web.Application]


class Config(Struct, kw_only=True):
    recursion_limit: int | UnsetType = UNSET


class Body(Struct, kw_only=True):
    name: str
    input: Raw | UnsetType = UNSET


class Query(Struct, kw_only=True):
    limit: Annotated[int, Meta(ge=1)] = 10
    wait: bool = False
    select: list[str] | UnsetType = UNSET


@operation("POST", "/body", public=True)
async def post_body(_request: web.Request, body: Body) -> Body:
    """Give back the body."""
    return body


@operation("GET", "/query", public=True)
async def get_query(_request: web.Request, query: Query) -> Query:
    """Give back the query."""
    return query


@operation("GET", "/threads/{thread_id}/items/{number}/{name}")
async def get_path(_request: web.Request, thread_id: ThreadId, number: int, name: str) -> list[Any]:
    """Give back the path."""
    return [thread_id, number, name]


@operation("DELETE", "/nothing", public=True)
async def delete_nothing(_request: web.Request) -> None:
    """Do nothing."""


@operation("GET", "/null", public=True)
async def get_null(_request: web.Request) -> Config | None:
    """Give back null."""
    return None


@operation("POST", "/reply", also=(202,), public=True)
async def post_reply(_request: web.Request, body: Config) -> Reply[Config]:
    """Give back a header, or an empty answer."""
    if body.recursion_limit is UNSET:
        return Reply(status=202)
    return Reply(body, headers={"Content-Location": "/here"})


@operation("GET", "/stream", public=True)
async def get_stream(request: web.Request) -> web.StreamResponse:
    """Stream two lines."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"event: one\n\n")
    await response.write(b"event: two\n\n")
    return response


OPERATIONS = [post_body, get_query, get_path, delete_nothing, get_null, post_reply, get_stream]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    limited = msgspec.structs.replace(settings, http_max_request_body_bytes=LIMIT)
    async with TestClient(TestServer(build(client, limited, OPERATIONS))) as started:
        yield started


async def post(api: Api, data: bytes) -> tuple[int, Any]:
    response = await api.post("/body", data=data)
    assert response.headers["Content-Type"] == "application/json"
    return response.status, await response.json()


async def test_a_body_goes_in_and_comes_out(api: Api) -> None:
    assert await post(api, b'{"name":"n","unknown":1,"input":[1.0]}') == (200, {"name": "n", "input": [1.0]})


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "Invalid JSON in request body"),
        (b'{"name":5}', "Request body: Expected `str`, got `int` - at `$.name`"),
    ],
)
async def test_a_wrong_body_is_refused(api: Api, data: bytes, detail: str) -> None:
    assert await post(api, data) == (422, {"detail": detail})


async def test_a_query_is_decoded(api: Api) -> None:
    response = await api.get("/query?limit=5&wait=Yes&select=a&select=b")
    assert (response.status, await response.json()) == (200, {"limit": 5, "wait": True, "select": ["a", "b"]})
    response = await api.get("/query?limit=0")
    assert (response.status, await response.json()) == (422, {"detail": "Query: Expected `int` >= 1 - at `$.limit`"})


async def test_the_content_type_is_not_looked_at(api: Api) -> None:
    response = await api.post("/body", data=b'{"name":"n"}', headers={"Content-Type": "text/plain"})
    assert response.status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(api: Api, chunked: bool) -> None:
    data = b'{"name":"' + b"x" * LIMIT + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    response = await api.post("/body", data=pieces() if chunked else data)
    assert (response.status, await response.json()) == (
        413,
        {"detail": f"Request body too large (limit: {LIMIT} bytes)"},
    )


async def test_a_body_of_exactly_the_limit_is_taken(api: Api) -> None:
    frame = b'{"name":""}'
    status, _ = await post(api, frame.replace(b'""', b'"' + b"x" * (LIMIT - len(frame)) + b'"'))
    assert status == 200


async def test_a_body_that_does_not_decompress_is_refused(api: Api) -> None:
    response = await api.post("/body", data=b'{"name":"n"}', headers={"Content-Encoding": "gzip"})
    assert response.status == 400
    assert "request body cannot be read" in (await response.json())["detail"]


async def test_ids_in_the_path_may_be_spelled_in_any_way(api: Api) -> None:
    value = uuid.UUID("0190f5f0-7c5e-7abc-8def-0123456789ab")
    for spelling in (str(value), str(value).upper(), value.hex, f"urn:uuid:{value}"):
        response = await api.get(f"/threads/{spelling}/items/3/a%20b")
        assert await response.json() == [str(value), 3, "a b"]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/threads/nope/items/3/x", "Invalid thread ID: must be a UUID"),
        (f"/threads/{uuid.UUID(int=0)}/items/x/x", "Path parameter number: Expected `int`, got `str`"),
    ],
)
async def test_a_wrong_path_is_refused(api: Api, path: str, detail: str) -> None:
    response = await api.get(path)
    assert (response.status, await response.json()) == (422, {"detail": detail})


async def test_the_annotation_tells_no_content_from_null(api: Api) -> None:
    response = await api.delete("/nothing")
    assert (response.status, await response.read()) == (204, b"")
    response = await api.get("/null")
    assert (response.status, await response.read()) == (200, b"null")


async def test_a_reply_has_its_own_headers_and_status(api: Api) -> None:
    response = await api.post("/reply", data=b'{"recursion_limit":1}')
    assert (response.status, response.headers["Content-Location"]) == (200, "/here")
    assert await response.json() == {"recursion_limit": 1}
    response = await api.post("/reply", data=b"{}")
    assert (response.status, await response.read()) == (202, b"")


async def test_head_answers_as_get_does_without_a_body(api: Api) -> None:
    full, head = await api.get("/query?limit=5"), await api.head("/query?limit=5")
    assert (head.status, head.headers["Content-Length"]) == (200, full.headers["Content-Length"])
    assert await head.read() == b""
    assert (await api.head("/query?limit=x")).status == 422
    stream = await api.head("/stream")
    assert (stream.status, stream.content_type, await stream.read()) == (200, "text/event-stream", b"")


async def test_a_stream_is_the_handlers_own(api: Api) -> None:
    response = await api.get("/stream")
    assert response.content_type == "text/event-stream"
    assert await response.read() == b"event: one\n\nevent: two\n\n"


def test_a_handler_that_does_not_fit_its_path_is_refused_at_import() -> None:
    async def handler(_request: web.Request, run_id: str) -> None: ...

    with pytest.raises(TypeError, match=r"wants the parameters \['thread_id'\], not \['run_id'\]"):
        operation("GET", "/threads/{thread_id}")(handler)
