"""Probes on the gateway's own port, for load balancers; orchestrators use the probes port, which always answers."""

from collections.abc import AsyncIterator

from aiohttp import web
from msgspec import Struct

from lineshaft.health.loop_watch import LoopWatch
from lineshaft.health.probes import probing
from lineshaft.health.process import Health, Readiness
from lineshaft_api.context import CLIENT, DRAINING, SETTINGS
from lineshaft_api.operation import Operation, operation

HEALTH = web.AppKey("HEALTH", Health)


class Life(Struct):
    """It lives if it can say so."""

    alive: bool = True


@operation("GET", "/livez", errors=(503,), tags=("System",), public=True)
async def get_livez(request: web.Request) -> Life:
    """Tell whether this process lives, whatever becomes of others that it needs."""
    request.app[HEALTH].require_life()
    return Life()


@operation("GET", "/readyz", errors=(503,), tags=("System",), public=True)
async def get_readyz(request: web.Request) -> Readiness:
    """Tell whether requests can be served: Redis answers, and the gateway is not stopping."""
    return (await request.app[HEALTH].readiness()).require()


async def probe(app: web.Application) -> AsyncIterator[None]:
    """Watch the loop and serve the probes port while the application runs, unless its process does."""
    if HEALTH in app:
        yield
        return
    draining = app[DRAINING]
    checks = {"draining": lambda: "the gateway is stopping" if draining.is_set() else ""}
    app[HEALTH] = Health(app[CLIENT], LoopWatch("gateway"), checks)
    with probing(app[SETTINGS], app[HEALTH]):
        yield


OPERATIONS: list[Operation] = [get_livez, get_readyz]
