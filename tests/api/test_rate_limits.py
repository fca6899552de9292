"""A gateway whose callers may only ask so often."""

from typing import Any

import msgspec

from lineshaft.access.api_keys import ApiKeys
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client

from .gateway import Gateway, serving


def limited(client: Client, **settings: Any) -> Any:
    return serving(client, msgspec.structs.replace(client.settings, lineshaft_auth="keys", **settings))


async def key(client: Client, **limits: int) -> dict[str, str]:
    _, token = await ApiKeys(client).create("n", "write", **limits)  # type: ignore[arg-type]  # only limits
    return {"X-Api-Key": token}


async def statuses(gateway: Gateway, headers: dict[str, str], count: int) -> list[int]:
    found = []
    for _ in range(count):
        async with gateway.http.post("/threads/count", json={}, headers=headers) as response:
            found.append(response.status)
    return found


async def test_requests_are_limited_by_the_key_or_by_the_settings(client: Client) -> None:
    async with limited(client, lineshaft_requests_per_minute=3) as gateway:
        usual, own = await key(client), await key(client, requests_per_minute=1)
        assert await statuses(gateway, usual, 4) == [200, 200, 200, 429]
        assert await statuses(gateway, own, 2) == [200, 429]
        async with gateway.http.get("/threads/x", headers=own) as response:
            assert response.status == 429
            assert 0 < int(response.headers["Retry-After"]) <= 60
            assert (await response.json())["detail"].startswith("You may have 1 request a minute: wait ")
        assert await statuses(gateway, {"X-Api-Key": "wrong"}, 1) == [401]
        await gateway.json("GET", "/ok")


async def test_all_gateways_count_together(client: Client) -> None:
    async with limited(client) as one, limited(client) as other:
        headers = await key(client, requests_per_minute=2)
        assert await statuses(one, headers, 1) + await statuses(other, headers, 2) == [200, 200, 429]


async def test_runs_have_a_quota_whichever_way_they_are_made(client: Client) -> None:
    async with limited(client) as gateway:
        await gateway.thread()
        headers, thread = await key(client, runs_per_day=3), uuid7()
        body = {"assistant_id": "g", "if_not_exists": "create"}
        path = f"/threads/{thread}/runs"
        await gateway.json("POST", path, json=body, headers=headers)
        told = await gateway.json("POST", "/runs/batch", 429, json=[body] * 3, headers=headers)
        assert told["detail"].startswith("You may have 3 runs a day: wait ")
        batch = await gateway.json("POST", "/runs/batch", json=[body] * 2, headers=headers)
        for way, asked in (
            (path, body),
            ("/runs/stream", body),
            ("/runs/wait", body),
        ):
            await gateway.json("POST", way, 429, json=asked, headers=headers)
        command = {"id": 1, "method": "run.start", "params": {"assistant_id": "g"}}
        failed = await gateway.json("POST", f"/threads/{thread}/commands", json=command, headers=headers)
        assert failed["message"].startswith("429: You may have 3 runs a day")
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "g"}}
        accept = {**headers, "Accept": "application/json"}
        failed = await gateway.json("POST", "/mcp", json=call, headers=accept)
        assert failed["error"]["message"].startswith("You may have 3 runs a day")
        await gateway.json("GET", path, headers=headers)  # reading goes on
        for one in (thread, *(run["thread_id"] for run in batch)):
            gateway.desk.adopt(one)


async def test_without_limits_nothing_is_counted(client: Client) -> None:
    async with limited(client) as gateway:
        assert set(await statuses(gateway, await key(client), 50)) == {200}
        assert await client.command("KEYS", client.keys.rate("*")) == []
