"""Probes on the gateway's own port, where load balancers look."""

from aiohttp.test_utils import TestClient, TestServer

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.context import DRAINING

from .gateway import serving


async def test_a_gateway_that_stops_is_not_ready_and_lives(client: Client, settings: Settings) -> None:
    async with serving(client, settings) as gateway:
        assert await gateway.json("GET", "/livez") == {"alive": True}
        assert await gateway.json("GET", "/readyz") == {"ready": True, "checks": {"draining": "ok", "redis": "ok"}}
        gateway.runner.app[DRAINING].set()
        said = await gateway.json("GET", "/readyz", 503)
        assert said == {"detail": "Not ready (draining: the gateway is stopping)"}
        assert await gateway.json("GET", "/livez") == {"alive": True}


async def test_a_gateway_without_redis_is_not_ready_and_lives() -> None:
    settings = Settings(redis_uri="unix:///nowhere.sock")
    client = Client(settings)
    async with TestClient(TestServer(build(client, settings))) as api:
        answer = await api.get("/readyz")
        assert (answer.status, "redis" in (await answer.json())["detail"]) == (503, True)
        assert "Retry-After" in answer.headers
        assert (await api.get("/livez")).status == 200
    await client.close()
