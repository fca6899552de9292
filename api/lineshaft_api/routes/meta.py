"""What this server is and how it does: health, versions, its OpenAPI document."""

import asyncio
import importlib.metadata

import msgspec
import redis.exceptions
from aiohttp import web

from lineshaft.errors import BadRequest
from lineshaft_api.context import CLIENT, OPENAPI, SETTINGS
from lineshaft_api.decode import is_true
from lineshaft_api.operation import Operation, Reply, operation

_PROBE_TIMEOUT = 2.0  # seconds; orchestrators give a probe not much more


class Health(msgspec.Struct):
    """`services` says how each dependency does that was looked at."""

    ok: bool
    services: dict[str, str] = {}


class HealthQuery(msgspec.Struct):
    """How deep to look."""

    check_db: str = "0"


class Info(msgspec.Struct):
    """Versions, and which parts of the API are there."""

    version: str
    langgraph_py_version: str
    flags: dict[str, bool]
    host: dict[str, str | None]


@operation("GET", "/ok", errors=(400,), tags=("System",), public=True)
async def get_health(request: web.Request, query: HealthQuery) -> Reply[Health]:
    """Tell whether the gateway answers.

    With `check_db=1` Redis must answer too; if it does not, the status is 500.
    """
    return await _health(request, query)


@operation("GET", "/", errors=(400,), tags=("System",), public=True)
async def get_root(request: web.Request, query: HealthQuery) -> Reply[Health]:
    """The same as `/ok`, where load balancers look first."""
    return await _health(request, query)


@operation("GET", "/info", tags=("System",), public=True)
async def get_info(request: web.Request) -> Info:
    """Tell versions and flags."""
    config = request.app[SETTINGS].langgraph_http
    return Info(
        version=importlib.metadata.version("lineshaft"),
        langgraph_py_version=importlib.metadata.version("langgraph"),
        flags={
            "assistants": not config.disable_assistants,
            "crons": not config.disable_runs,
            "langsmith": False,
            "langsmith_tracing_replicas": False,
            "langsmith_tracing_session_on_runs": False,
        },
        host={
            "kind": "self-hosted",
            "project_id": None,
            "host_revision_id": None,
            "revision_id": None,
            "tenant_id": None,
        },
    )


@operation("GET", "/openapi.json", tags=("System",), public=True)
async def get_openapi(request: web.Request) -> msgspec.Raw:
    """Describe all operations, as the OpenAPI document that this page shows."""
    return msgspec.Raw(request.app[OPENAPI])


async def _health(request: web.Request, query: HealthQuery) -> Reply[Health]:
    if query.check_db.lower() in ("0", "false", "no", ""):
        return Reply(Health(ok=True))
    if not is_true(query.check_db):
        raise BadRequest(f"check_db should be 0 or 1, not {query.check_db!r}")
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT):
            await request.app[CLIENT].redis.ping()
    except (redis.exceptions.RedisError, OSError):  # a TimeoutError is an OSError
        return Reply(Health(ok=False, services={"redis": "unhealthy"}), status=500)
    return Reply(Health(ok=True, services={"redis": "healthy"}))


OPERATIONS: list[Operation] = [get_health, get_root, get_info, get_openapi]
