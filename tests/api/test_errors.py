"""How errors, wrong addresses and questions of a browser are answered."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import Struct

from lineshaft import errors
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.operation import Reply, operation

ORIGIN = {"Origin": "https://app.example"}
RAISED: dict[str, Exception] = {
    "invalid": errors.Invalid("cannot be used"),
    "bad": errors.BadRequest("contradiction"),
    "missing": errors.NotFound("no such thread"),
    "silent": errors.NotFound(),
    "conflict": errors.Conflict("busy"),
    "large": errors.TooLarge("over the limit"),
    "many": errors.TooMany("too many at a time"),
    "away": errors.Unavailable("Redis is not available", retry_after=7),
    "fenced": errors.Fenced("stale token"),
    "broken": KeyError("a mistake of ours"),
}
Api = TestClient[web.Request, web.Application]


class Empty(Struct):
    pass


@operation("GET", "/raise/{kind}", errors=(400, 404, 409, 503), public=True)
async def get_raise(_request: web.Request, kind: str) -> None:
    """Raise an error."""
    raise RAISED[kind]


@operation("GET", "/cut", public=True)
async def get_cut(request: web.Request) -> web.StreamResponse:
    """Begin a stream and fail."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"event: one\n\n")
    raise errors.Unavailable("Redis is not available")


@operation("GET", "/things", public=True)
async def get_things(_request: web.Request) -> Reply[Empty]:
    """Answer."""
    return Reply(Empty(), headers={"X-Pagination-Total": "1"})


@operation("POST", "/things", public=True)
async def post_things(_request: web.Request, body: Empty) -> Empty:
    """Answer."""
    return body


@operation("GET", "/cancelled", public=True)
async def get_cancelled(_request: web.Request) -> None:
    """End as a cancelled handler does."""
    raise asyncio.CancelledError


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    operations = [get_raise, get_cut, get_things, post_things, get_cancelled]
    async with TestClient(TestServer(build(client, settings, operations))) as started:
        yield started


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        ("invalid", 422, "cannot be used"),
        ("bad", 400, "contradiction"),
        ("missing", 404, "no such thread"),
        ("silent", 404, "Not Found"),
        ("conflict", 409, "busy"),
        ("large", 413, "over the limit"),
        ("many", 429, "too many at a time"),
        ("away", 503, "Redis is not available"),
    ],
)
async def test_each_error_has_its_status(api: Api, kind: str, status: int, detail: str) -> None:
    response = await api.get(f"/raise/{kind}")
    assert (response.status, await response.json()) == (status, {"detail": detail})
    assert response.content_type == "application/json"


async def test_unavailable_says_when_to_try_again(api: Api) -> None:
    assert (await api.get("/raise/away")).headers["Retry-After"] == "7"


@pytest.mark.parametrize("kind", ["broken", "fenced"])
async def test_what_nobody_expected_is_logged_and_hidden(
    api: Api, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    response = await api.get(f"/raise/{kind}", headers={"x-request-id": "request-1"} | ORIGIN)
    assert (response.status, await response.json()) == (500, {"detail": "Internal Server Error"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    logged = "".join(capsys.readouterr())
    assert "request-1" in logged
    assert str(RAISED[kind]) in logged
    assert (await api.get("/things")).status == 200  # on the same connection


async def test_an_error_in_a_stream_cuts_the_connection(api: Api) -> None:
    response = await api.get("/cut")
    assert response.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.read()


async def test_a_cancelled_handler_gives_no_answer(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await api.get("/cancelled")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope"), ("POST", "/things/x"), ("GET", "/nope/")])
async def test_an_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    response = await api.request(method, path, allow_redirects=False)
    assert (response.status, await response.json()) == (404, {"detail": "Not Found"})


async def test_no_path_leads_to_another_host(api: Api) -> None:
    for path in ("/x.example/", "/things/", "/x.example/things/"):
        response = await api.session.get(f"{api.make_url('/')}{path}", allow_redirects=False)
        assert response.status == 404
        assert "Location" not in response.headers


async def test_a_wrong_method_is_405_with_allow(api: Api) -> None:
    for method in ("DELETE", "OPTIONS"):
        response = await api.request(method, "/things")
        assert (response.status, await response.json()) == (405, {"detail": "Method Not Allowed"})
        assert response.headers["Allow"] == "GET,HEAD,POST"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_trailing_slash_leads_to_the_path_without_it(api: Api, method: str) -> None:
    response = await api.request(
        method, "/things/?a=b%20c", data=b"{}" if method == "POST" else None, allow_redirects=False
    )
    assert (response.status, response.headers["Location"]) == (307, "/things?a=b%20c")
    response = await api.request(method, "/things/", data=b"{}" if method == "POST" else None)
    assert response.status == 200


async def test_any_page_may_read_answers_errors_and_streams(api: Api) -> None:
    for path in ("/things", "/raise/missing", "/nope", "/cut"):
        response = await api.get(path, headers=ORIGIN)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
        assert exposed == ["x-pagination-total", "x-pagination-next", "content-location", "location", "x-request-id"]


async def test_a_preflight_is_answered_for_any_path(api: Api) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    response = await api.options("/threads/1/runs", headers=ORIGIN | asked)
    assert (response.status, await response.text()) == (200, "OK")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert response.headers["Access-Control-Allow-Headers"] == "x-api-key,content-type"
    assert response.headers["Access-Control-Allow-Private-Network"] == "true"
    assert response.headers["Access-Control-Max-Age"] == "600"
