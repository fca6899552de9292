"""A gateway that asks for API keys."""

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from lineshaft.access.api_keys import ApiKeys, Scope
from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_api.app import OPERATIONS
from lineshaft_api.auth import key_check
from tests.shared.until import until

from .gateway import Gateway, serving

OPEN = ["/", "/docs", "/docs/start.js", "/info", "/livez", "/metrics", "/ok", "/openapi.json", "/readyz"]


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, msgspec.structs.replace(settings, lineshaft_auth="keys")) as started:
        yield started


async def key(client: Client, scope: Scope = "write") -> dict[str, str]:
    _, token = await ApiKeys(client).create("n", scope)
    return {"X-Api-Key": token}


async def status(gateway: Gateway, method: str, path: str, headers: dict[str, str] | None = None) -> int:
    async with gateway.http.request(method, path, headers=headers, data=b"{}") as response:
        return response.status


async def test_a_key_opens_the_gateway_in_either_header(gateway: Gateway, client: Client) -> None:
    headers = await key(client)
    for sent in (headers, {"Authorization": f"Bearer {headers['X-Api-Key']}"}):
        assert await status(gateway, "POST", "/threads/search", sent) == 200


async def test_strangers_are_told_what_is_missing_before_anything_else(gateway: Gateway, client: Client) -> None:
    known = await gateway.thread()
    for path in (f"/threads/{known}", f"/threads/{uuid7()}", "/threads/no-id", "/nowhere", "/threads/"):
        assert await status(gateway, "GET", path) == 401
    async with gateway.http.post("/threads", data=b"no json") as response:
        assert response.status == 401
        assert "X-Api-Key" in (await response.json())["detail"]
        assert response.headers["WWW-Authenticate"] == "Bearer"
    wrong = (await key(client))["X-Api-Key"][:-4] + "0000"
    assert await status(gateway, "GET", f"/threads/{known}", {"X-Api-Key": wrong}) == 401


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: f"{op.method} {op.path}")
async def test_every_operation_asks_for_a_key_but_those_about_the_server(gateway: Gateway, operation: object) -> None:
    method, path = operation.method, operation.path  # type: ignore[attr-defined]  # parametrized
    for name, value in {"{asset}": "start.js", "{namespace}": "n", "{checkpoint_id}": "c"}.items():
        path = path.replace(name, value)
    for name in ("thread_id", "run_id", "assistant_id", "cron_id"):
        path = path.replace(f"{{{name}}}", uuid7())
    assert (await status(gateway, method, path) == 401) == (path not in OPEN)


async def test_browsers_may_ask_before_they_have_a_key(gateway: Gateway) -> None:
    headers = {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}
    assert await status(gateway, "OPTIONS", "/threads", headers) == 200
    async with gateway.http.get("/threads/x") as refused:
        assert refused.headers["Access-Control-Allow-Origin"] == "*"  # else a page could not read why


async def test_a_key_for_reading_changes_nothing(gateway: Gateway, client: Client) -> None:
    reader, thread = await key(client, "read"), await gateway.thread()
    for method, path in (
        ("GET", f"/threads/{thread}"),
        ("POST", "/threads/search"),
        ("POST", "/threads/count"),
        ("POST", f"/threads/{thread}/history"),
        ("POST", "/store/namespaces"),
        ("POST", "/runs/crons/search"),
    ):
        assert await status(gateway, method, path, reader) == 200, path
    for op in OPERATIONS:
        if op.scope == "write":
            path = op.path.replace("{thread_id}", thread).replace("{assistant_id}", uuid7())
            path = path.replace("{run_id}", uuid7()).replace("{cron_id}", uuid7())
            assert await status(gateway, op.method, path, reader) == 403, path


async def test_a_revoked_key_is_refused_within_seconds(
    gateway: Gateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_check, "CACHE_SECONDS", 0.2)
    headers = await key(client)
    assert await status(gateway, "POST", "/threads/search", headers) == 200
    await ApiKeys(client).revoke(headers["X-Api-Key"].split("_")[1])

    async def refused() -> bool:
        return await status(gateway, "POST", "/threads/search", headers) == 401

    await until(refused, "the key is refused")


async def test_the_use_of_a_key_is_noted(gateway: Gateway, client: Client) -> None:
    headers = await key(client)

    async def noted() -> bool:
        (listed,) = await ApiKeys(client).list()
        return listed.used is not None

    assert not await noted()
    await status(gateway, "POST", "/threads/search", headers)
    await until(noted, "the use is noted")


async def test_wrong_keys_again_and_again_are_slowed_down_and_right_ones_are_not(
    gateway: Gateway, client: Client
) -> None:
    right = await key(client)
    statuses = [await status(gateway, "GET", "/threads/x", {"X-Api-Key": f"wrong{n}"}) for n in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    async with gateway.http.get("/threads/x") as response:
        assert response.status == 429
        assert 0 < int(response.headers["Retry-After"]) <= 61
    assert await status(gateway, "POST", "/threads/search", right) == 200


async def test_a_socket_needs_a_key_too(gateway: Gateway, client: Client) -> None:
    path = f"/threads/{uuid7()}/stream/events"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect(path)
    assert refused.value.status == 401
    async with gateway.http.ws_connect(path, headers=await key(client)) as socket:
        assert not socket.closed
