"""What `http` of langgraph.json changes at a gateway."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.http import HttpConfig
from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.operation import Operation, operation

from .gateway import serving

Api = TestClient[web.Request, web.Application]
APP, EVIL = "https://app.example", "https://evil.example"


@contextlib.asynccontextmanager
async def gateway(client: Client, settings: Settings, *operations: Operation, **http: Any) -> AsyncIterator[Api]:
    chosen = msgspec.structs.replace(settings, langgraph_http=msgspec.convert(http, HttpConfig))
    app = build(client, chosen, list(operations)) if operations else build(client, chosen)
    async with TestClient(TestServer(app)) as api:
        yield api


async def preflight(api: Api, origin: str, method: str = "POST", wanted: str = "") -> tuple[int, str, dict[str, str]]:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if wanted:
        headers["Access-Control-Request-Headers"] = wanted
    async with api.options("/threads", headers=headers) as response:
        shown = {k.lower(): v for k, v in response.headers.items() if k.lower().startswith("access-control")}
        return response.status, await response.text(), shown


async def test_only_the_configured_pages_may_read_answers(client: Client, settings: Settings) -> None:
    cors = {"allow_origins": [APP], "allow_methods": ["GET", "POST"], "allow_headers": ["X-Custom"], "max_age": 60}
    async with gateway(client, settings, cors=cors) as api:
        status, text, headers = await preflight(api, APP, wanted="x-custom,content-type")
        assert (status, text) == (200, "OK")
        assert headers == {
            "access-control-allow-origin": APP,
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "x-custom,content-type",
            "access-control-max-age": "60",
        }
        assert await preflight(api, EVIL, "DELETE", "x-other") == (400, "Disallowed CORS origin, method, headers", {})
        status, text, _ = await preflight(api, APP, "DELETE")
        assert (status, text) == (400, "Disallowed CORS method")
        for origin, allowed in ((APP, APP), (EVIL, None)):
            async with api.get("/threads/bad", headers={"Origin": origin}) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == allowed
                assert response.headers["Vary"] == "Origin"


async def test_every_answer_says_that_origins_matter(client: Client, settings: Settings) -> None:
    async with gateway(client, settings) as api:
        for path, status in (("/ok", 200), ("/threads/bad", 422), ("/nowhere", 404)):
            async with api.get(path) as response:
                assert (response.status, response.headers.getall("Vary")) == (status, ["Origin"])


async def test_pages_with_cookies_are_answered_by_name(client: Client, settings: Settings) -> None:
    """Browsers take no `*` from a server that lets them send cookies."""
    cors = {"allow_origins": ["*"], "allow_credentials": True, "expose_headers": ["x-own"]}
    async with gateway(client, settings, cors=cors) as api, api.get("/ok", headers={"Origin": APP}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == APP
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert response.headers["Access-Control-Expose-Headers"] == "x-own"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://a.app.example", 200), ("https://a.app.example.evil.example", 400), ("https://aXapp.example", 400)],
)
async def test_an_expression_must_match_the_whole_origin(
    client: Client, settings: Settings, origin: str, status: int
) -> None:
    cors = {"allow_origin_regex": r"https://\w+\.app\.example", "allow_methods": ["*"]}
    async with gateway(client, settings, cors=cors) as api:
        assert (await preflight(api, origin))[0] == status


async def test_origins_may_come_from_the_environment(client: Client, settings: Settings) -> None:
    chosen = msgspec.structs.replace(settings, cors_allow_origins=f"{APP}, https://other.example")
    async with gateway(client, chosen) as api:
        assert (await preflight(api, APP, "DELETE", "x-any"))[0] == 200
        assert (await preflight(api, EVIL))[0] == 400


async def test_studio_is_let_in_from_a_public_page_where_it_is_allowed(client: Client, settings: Settings) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    async with gateway(client, settings, cors={"allow_origins": [APP], "allow_methods": ["*"]}) as api:
        for origin, allowed in ((APP, "true"), (EVIL, None)):
            async with api.options("/threads", headers={"Origin": origin, **asks}) as response:
                assert response.headers.get("Access-Control-Allow-Private-Network") == allowed


@pytest.mark.parametrize(
    ("group", "gone", "there"),
    [
        ("assistants", "/assistants/search", "/threads/search"),
        ("threads", "/threads/search", "/assistants/search"),
        ("runs", "/runs/crons/search", "/threads/search"),
        ("store", "/store/items/search", "/threads/search"),
        ("mcp", "/mcp", "/threads/search"),
        ("a2a", "/a2a/x", "/mcp"),
        ("internal", "/internal/runs/cancel", "/threads/search"),
        ("meta", "/info", "/threads/search"),
    ],
)
async def test_a_group_of_routes_can_be_turned_off(
    client: Client, settings: Settings, group: str, gone: str, there: str
) -> None:
    async with gateway(client, settings, **{f"disable_{group}": True}) as api:
        assert (await api.post(gone, data=b"{}")).status == 404
        assert (await api.post(there, data=b"{}")).status != 404
        assert (await api.get("/ok")).status == 200
        if group != "meta":
            paths = (await (await api.get("/openapi.json")).json())["paths"]
            assert there in paths
            assert gone not in paths


async def test_everything_can_be_under_a_prefix(client: Client, settings: Settings) -> None:
    async with gateway(client, settings, mount_prefix="/agent") as api:
        for path in ("/agent", "/agent/ok", "/agent/info", "/agent/docs", "/", "/ok", "/metrics", "/livez", "/readyz"):
            assert (await api.get(path)).status == 200, path
        for path in ("/info", "/openapi.json", "/docs", "/threads", "/agents/ok", "/agentok"):
            assert (await api.get(path)).status == 404, path
        async with api.post("/agent/threads/search", json={}) as response:
            assert response.status == 200
        async with api.post("/agent/threads/search/", json={}, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (307, "/agent/threads/search")
        document = await (await api.get("/agent/openapi.json")).json()
        assert document["servers"] == [{"url": "/agent"}]
        assert "/threads/search" in document["paths"]


async def test_a_prefix_that_is_no_path_ends_the_start(client: Client, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="MOUNT_PREFIX='agent'"):
        build(client, msgspec.structs.replace(settings, mount_prefix="agent"))


@pytest.mark.parametrize("given", ["abc-123", "", "x" * 129, "with space", "\u00fc"])
async def test_every_answer_tells_the_id_of_its_request(client: Client, settings: Settings, given: str) -> None:
    async with gateway(client, settings) as api:
        for path, status in (("/ok", 200), ("/threads/bad", 422), ("/nowhere", 404)):
            async with api.get(path, headers={"X-Request-Id": given} if given else {}) as response:
                told = response.headers["X-Request-Id"]
                assert response.status == status
                assert told == given if given == "abc-123" else len(told) == 36


@operation("GET", "/fail", public=True)
async def get_fail(_request: web.Request) -> None:
    """Fail, as no operation should."""
    raise KeyError("a mistake of ours")


async def test_the_log_has_the_headers_that_were_asked_for(client: Client, settings: Settings) -> None:
    rules = {"includes": ["x-*"], "excludes": ["x-secret"]}
    sent = {"X-Team": "red", "X-Secret": "s", "X-Api-Key": "k"}
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with gateway(client, settings, get_fail, logging_headers=rules) as api:
            assert (await api.get("/fail", headers=sent)).status == 500
            assert (await api.get("/fail")).status == 500
    assert [line.get("headers") for line in lines] == [{"x-team": "red"}] * 2 + [{}] * 2  # what failed, and the request


async def test_graphs_are_told_the_headers_that_were_asked_for(client: Client, settings: Settings) -> None:
    """As a worker finds them, also beside a context; what a client may not say stays out."""
    rules = {"includes": ["x-*", "langgraph_auth_user_id"], "excludes": ["x-secret"]}
    chosen = msgspec.structs.replace(
        settings, langgraph_http=msgspec.convert({"configurable_headers": rules}, HttpConfig)
    )
    sent = {"X-Team": "red", "X-Secret": "s", "X-Api-Key": "k", "langgraph_auth_user_id": "admin"}
    async with serving(client, chosen) as gateway:
        thread = await gateway.thread()
        body = {"assistant_id": "g", "context": {"own": 1}}
        run = await gateway.json("POST", f"/threads/{thread}/runs", json=body, headers=sent)
        batch = await gateway.json("POST", "/runs/batch", json=[{"assistant_id": "g"}], headers=sent)
        for made in (run, *batch):
            configurable = made["kwargs"]["config"]["configurable"]
            assert {name for name in configurable if name.startswith("x-")} == {"x-team"}
            assert (configurable["x-team"], configurable["langgraph_auth_user_id"]) == ("red", "")
        gateway.desk.adopt(batch[0]["thread_id"])
