"""`http.app`: the user's routes beside ours, their middleware around all, and what both hear of clients that leave."""

import asyncio
import contextlib
import io
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.access.api_keys import ApiKeys
from lineshaft.config.auth import AuthConfig
from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.operation import operation
from tests.shared.until import until

from . import custom_apps
from .gateway import Gateway, events, running, serving


@pytest.fixture
async def gateway(client: Client, project: Any) -> AsyncIterator[Gateway]:
    async with serving(client, project()) as started:
        yield started


async def test_routes_of_the_application_stand_beside_ours(gateway: Gateway) -> None:
    assert await gateway.json("GET", "/custom/hello?name=you") == {"name": "you", "opened": "pool"}
    assert await gateway.json("GET", "/info") == {"custom": True}  # the same path as ours
    assert await gateway.json("GET", f"/threads/{await gateway.thread()}") == {"custom": True}
    assert await gateway.json("POST", "/threads/search", json={})
    assert await gateway.json("PATCH", "/threads/bad", 422, json={})  # another method is ours


async def test_where_operators_look_stays_ours(gateway: Gateway) -> None:
    assert await gateway.json("GET", "/ok") == {"ok": True, "services": {}}
    assert "openapi" in await gateway.json("GET", "/openapi.json")
    for path in ("/docs", "/metrics"):
        async with gateway.http.get(path) as response:
            assert "custom" not in await response.text()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/custom/hello", 200),
        ("GET", "/custom/bad", 400),
        ("GET", "/ok", 200),
        ("GET", "/docs/swagger-ui.css", 200),
        ("GET", "/threads/bad/state", 422),
        ("GET", "/no/such/path", 404),
        ("DELETE", "/threads", 405),
        ("POST", "/custom/hello", 404),
        ("HEAD", "/ok", 200),
        ("HEAD", "/custom/hello", 200),
    ],
)
async def test_middleware_of_the_application_sees_every_request(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    async with gateway.http.request(method, path) as response:
        assert (response.status, response.headers["X-Seen"]) == (status, "0")
        body = await response.read()
        assert len(body) == (0 if method == "HEAD" else int(response.headers["Content-Length"]))
        assert len(response.headers.getall("X-Request-Id")) == 1
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]


async def test_a_body_that_middleware_has_read_reaches_our_routes(gateway: Gateway) -> None:
    found = await gateway.json("POST", "/threads", json={"metadata": {"text": "x" * 50_000}})
    assert len(found["metadata"]["text"]) == 50_000


async def test_a_body_over_the_limit_is_refused(client: Client, project: Any) -> None:
    small = msgspec.structs.replace(project("Starlette()"), http_max_request_body_bytes=1000)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with serving(client, small) as gateway:
        for data in (b"x" * 2000, parts()):
            refused = await gateway.json("POST", "/threads", 413, data=data)
            assert refused == {"detail": "Request body too large (limit: 1000 bytes)"}


async def test_a_large_body_reaches_the_application(gateway: Gateway) -> None:
    found = await gateway.json("POST", "/custom/echo", data=io.BytesIO(b"x" * 3_000_000))
    assert found == {"bytes": 3_000_000, "path": "/custom/echo", "root": "", "user": None}


@operation("GET", "/seen", public=True)
async def get_seen(request: web.Request) -> dict[str, str]:
    """Show headers."""
    return {name.lower(): value for name, value in request.headers.items()}


async def test_headers_that_middleware_adds_reach_our_routes(client: Client, project: Any) -> None:
    async with TestClient(TestServer(build(client, project(), [get_seen]))) as api:
        seen = await (await api.get("/seen", headers={"X-Own": "1"})).json()
    assert (seen["x-from-middleware"], seen["x-own"]) == ("yes", "1")


async def test_mistakes_of_the_application_are_its_own(gateway: Gateway) -> None:
    assert await gateway.json("GET", "/custom/bad", 400) == {"detail": "a wrong value"}
    async with gateway.http.get("/custom/broken") as response:
        assert (response.status, await response.text()) == (500, "Internal Server Error")
    async with gateway.http.get("/custom/cut") as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert await gateway.json("GET", "/ok") == {"ok": True, "services": {}}


async def test_our_streams_pass_through_as_they_come(client: Client, project: Any) -> None:
    async with serving(client, project()) as gateway:
        attempt, path = await running(gateway)
        async with gateway.http.get(f"{path}/stream") as response:
            first = await response.content.readuntil(b"\r\n\r\n")  # while the run goes on
            assert response.headers["Content-Type"].startswith("text/event-stream")
            await attempt.emit("values", {"n": 1})
            await attempt.finish()
            rest = await response.read()
        assert [data for event, data in events(first + rest) if event == "values"] == [{"n": 1}]


async def test_a_stream_of_ours_that_breaks_off_is_seen_to_break_off(client: Client, project: Any) -> None:
    """Behind Starlette's BaseHTTPMiddleware it looked complete, and nobody connected again."""
    async with serving(client, project()) as gateway:
        _, path = await running(gateway)
        async with gateway.http.get(f"{path}/stream") as response:
            await response.content.readuntil(b"\r\n\r\n")
            await gateway.cut_off()
            with pytest.raises(aiohttp.ClientError):
                await response.read()


async def test_a_client_that_leaves_ends_a_stream_of_the_application(gateway: Gateway) -> None:
    custom_apps.CLOSED.clear()
    response = await gateway.http.get("/custom/ticks")
    await response.content.readuntil(b"\n\n")
    response.close()
    async with asyncio.timeout(30):
        await custom_apps.CLOSED.wait()


async def test_a_client_that_leaves_our_stream_cancels_its_run(client: Client, project: Any) -> None:
    """Behind middleware a handler still hears at once that its client has gone."""
    async with serving(client, project()) as gateway:
        thread = await gateway.thread()
        fields = {"assistant_id": "g", "on_disconnect": "cancel"}
        response = await gateway.http.post(f"/threads/{thread}/runs/stream", json=fields)
        attempt = await gateway.claim()
        response.close()

        async def cancelled() -> bool:
            return bool(await gateway.desk.field(attempt.run, "cancel"))

        await until(cancelled, "the run is cancelled")


async def test_the_lifespan_is_that_of_the_server(client: Client, project: Any) -> None:
    custom_apps.LIFE.clear()
    async with serving(client, project()):
        assert custom_apps.LIFE == ["up"]
    assert custom_apps.LIFE == ["up", "down"]


async def test_routes_that_are_described_are_in_the_document(gateway: Gateway) -> None:
    paths = (await gateway.json("GET", "/openapi.json"))["paths"]
    assert paths["/custom/hello"]["get"] == {"summary": "Say hello", "responses": {"200": {"description": "hello"}}}
    assert "/custom/bad" not in paths  # what it says is no YAML
    assert "/threads" in paths


async def test_fastapi_describes_itself(client: Client, project: Any) -> None:
    async with serving(client, project("fastapi()")) as gateway:
        assert await gateway.json("POST", "/custom/items", json={"name": "n"}) == {"name": "n"}
        await gateway.json("POST", "/custom/items", 422, json={})
        document = await gateway.json("GET", "/openapi.json")
        assert document["paths"]["/custom/items"]["post"]["summary"] == "Take an item"
        assert {"Item", "Problem"} <= document["components"]["schemas"].keys()


async def test_the_application_is_under_the_prefix_too(client: Client, project: Any) -> None:
    async with serving(client, project(mount_prefix="/agent")) as gateway:
        found = await gateway.json("POST", "/agent/custom/echo", data=b"12")
        assert found == {"bytes": 2, "path": "/agent/custom/echo", "root": "/agent", "user": None}
        await gateway.json("POST", "/custom/echo", 404)
        assert (await gateway.json("GET", "/ok"))["ok"]
        await gateway.json("GET", "/agent/threads/bad/state", 422)


@pytest.mark.parametrize("order", ["middleware_first", "auth_first"])
@pytest.mark.parametrize("closed", [True, False])
async def test_routes_of_the_application_ask_for_keys_if_they_shall(
    client: Client, project: Any, order: str, closed: bool
) -> None:
    _, key = await ApiKeys(client).create("k", "read")
    chosen = project(middleware_order=order, enable_custom_route_auth=closed)
    chosen = msgspec.structs.replace(chosen, lineshaft_auth="keys")
    async with serving(client, chosen) as gateway:
        for path, own, open_to_all in (
            ("/custom/hello", True, not closed),
            ("/info", True, not closed),
            ("/threads/bad/state", False, False),
            ("/no/such/path", False, False),
            ("/ok", False, True),
        ):
            async with gateway.http.get(path) as response:
                assert response.status == (200 if open_to_all else 401), path
                seen_by_middleware = order == "middleware_first" or open_to_all or (own and not closed)
                assert ("X-Seen" in response.headers) == seen_by_middleware, path
        async with gateway.http.post("/custom/echo", data=b"123", headers={"X-Api-Key": key}) as response:
            assert (response.status, (await response.json())["bytes"]) == (200, 3)
        async with gateway.http.get("/threads/bad/state", headers={"X-Api-Key": key}) as response:
            assert response.status == 422


AUTH = """
from langgraph_sdk import Auth
auth = Auth()
@auth.authenticate
async def who(body, headers):
    return {"identity": f"who sent {body}"}
"""


@pytest.mark.parametrize("order", ["middleware_first", "auth_first"])
async def test_code_that_reads_the_body_to_know_who_asks_leaves_it_to_others(
    client: Client, project: Any, tmp_path: Path, order: str
) -> None:
    (tmp_path / "who_asks.py").write_text(AUTH)
    chosen = project(middleware_order=order, enable_custom_route_auth=True)
    auth = msgspec.convert({"path": f"{tmp_path / 'who_asks.py'}:auth"}, AuthConfig)
    async with serving(client, msgspec.structs.replace(chosen, langgraph_auth=auth)) as gateway:
        found = await gateway.json("POST", "/custom/echo", data=b"123")
        assert (found["bytes"], found["user"]) == (3, "who sent 123")
        assert (await gateway.json("POST", "/threads", json={"metadata": {"a": 1}}))["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (webapp-"),
        ("None", "the module has no 'app'"),
        ("dict", "is no Starlette or FastAPI application"),
    ],
)
async def test_an_application_that_cannot_be_used_ends_the_start(
    client: Client, project: Any, app: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(client, project(app))
    assert str(caught.value).startswith("http.app: ")
    assert why in str(caught.value)


async def test_a_lifespan_that_fails_ends_the_start(client: Client, project: Any) -> None:
    runner = web.AppRunner(build(client, project("Starlette(lifespan=failing)")))
    with pytest.raises(ConfigError, match=r"http\.app: it does not start: RuntimeError: no database"):
        await runner.setup()
    await runner.cleanup()


async def test_a_websocket_passes_by(client: Client, project: Any) -> None:
    async with TestClient(TestServer(build(client, project("Starlette()")))) as api:
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            socket = await api.ws_connect(f"/threads/{uuid.uuid4()}/stream/events")
            assert not socket.closed
            await socket.close()
