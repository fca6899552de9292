"""What a request that creates a run asks of Redis before its first byte: one thing, in one round trip."""

from typing import Any

import pytest

from lineshaft.redis.client import Client
from lineshaft.redis.wire import Wire

from .gateway import serving


@pytest.mark.parametrize("way", ["", "/stream", "/wait"])
@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_a_run_is_created_in_one_round_trip(
    client: Client, monkeypatch: pytest.MonkeyPatch, way: str, *, stateless: bool, size: int
) -> None:
    async with serving(client, client.settings) as gateway:
        thread = await gateway.thread()
        # The gateway's scripts are known to Redis, as after its first request.
        await gateway.json("POST", f"/threads/{thread}/runs", json={"assistant_id": "g"})
        sent: list[Any] = []
        original = Wire.send

        async def counted(wire: Wire, *commands: tuple[Any, ...]) -> list[Any]:
            sent.append(commands)
            return await original(wire, *commands)

        monkeypatch.setattr(Wire, "send", counted)
        path = f"/runs{way}" if stateless else f"/threads/{thread}/runs{way}"
        body = {"assistant_id": "g", "input": "x" * size}
        async with gateway.http.post(path, json=body) as response:
            assert response.status == 200
            creating, *later = sent
            assert creating[-1][0] == "EVALSHA"
            # What follows the headers of a stream or wait is reading.
            assert all(command[0] in {"XREAD", "XRANGE", "HMGET"} for commands in later for command in commands)
            assert way or not later
            run = response.headers["Content-Location"].rpartition("/")[2]
        monkeypatch.undo()
        if stateless:
            gateway.desk.adopt(str(await gateway.desk.field(run, "thread")))
