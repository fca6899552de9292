"""Puts the gateway together: its routes, what they share, and what surrounds every request."""

import asyncio
import importlib.metadata
import re
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lineshaft.assistants.queries import Queries
from lineshaft.config.http import MOUNT_PATTERN, CorsConfig, HttpConfig
from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client
from lineshaft.telemetry.installation import InstallationReader

from . import cors, errors, identity, openapi
from .a2a import endpoint as a2a
from .asgi import document, lifespan, loading
from .asgi.app import CustomApp
from .auth import custom
from .auth.caller import AUTHENTICATOR, CALLER, OPEN_PATHS, Authenticator, NoAuthenticator, authenticate
from .auth.key_check import KeyAuthenticator
from .auth.limits import count_request
from .context import BACKGROUND, CLIENT, DRAINING, HUB, LEAVING, MOUNT, OPENAPI, QUERIES, SETTINGS
from .hub import Hub
from .internal import crons as internal_crons
from .internal import dead_letters, health, queues, workers
from .internal import runs as internal_runs
from .mcp import endpoint as mcp
from .metrics import HTTP_METRICS, HttpMetrics, measure, note_stream
from .operation import Operation, bind
from .routes import (
    assistant_graphs,
    assistant_versions,
    assistants,
    crons,
    docs,
    messages,
    meta,
    metrics,
    probes,
    runs,
    stateless,
    states,
    store,
    streams,
    thread_search,
    thread_stream,
    threads,
)
from .v2 import endpoint as v2
from .v2 import websocket

_MODULES = (
    meta, metrics, probes, docs, assistants, assistant_versions, assistant_graphs, threads, thread_search, messages,
    states, runs, streams, stateless, thread_stream, store, crons, v2, websocket, mcp, a2a,
    queues, internal_runs, workers, dead_letters, internal_crons, health,
)  # fmt: skip
OPERATIONS: list[Operation] = [operation for module in _MODULES for operation in module.OPERATIONS]
# What `http.disable_...` of langgraph.json turns off.
_GROUPS: dict[str, list[Operation]] = {
    name: [operation for module in modules for operation in module.OPERATIONS if operation is not meta.get_health]
    for name, modules in {
        "assistants": (assistants, assistant_versions, assistant_graphs),
        "threads": (threads, thread_search, messages, states, thread_stream),
        "runs": (runs, streams, stateless, crons, v2, websocket),
        "store": (store,),
        "mcp": (mcp,),
        "a2a": (a2a,),
        "meta": (meta, metrics, docs),
        "internal": (queues, internal_runs, workers, dead_letters, internal_crons, health),
    }.items()
}
# Where `GET /threads/search` asks for the thread "search".
_NAMES_ARE_IDS = ("/assistants/", "/threads/", "/runs/crons/")
# Where load balancers and scrapers look, which do not know that the rest is under a prefix.
_AT_ROOT = ("/", "/ok", "/metrics", "/livez", "/readyz")


def build(client: Client, settings: Settings, operations: list[Operation] = OPERATIONS) -> web.Application:
    """The application. The caller owns the client. Raises ConfigError."""
    operations = _enabled(operations, settings.langgraph_http)
    mount = _mount(settings)
    custom_app = _custom_app(settings.langgraph_http, mount)
    app = web.Application(
        middlewares=[measure, cors.preflight, identity.identify, *_asking(custom_app, settings.langgraph_http)],
        client_max_size=settings.http_max_request_body_bytes,
    )
    app[CLIENT] = client
    app[SETTINGS] = settings
    app[AUTHENTICATOR] = _authenticator(client, settings)
    app[OPEN_PATHS] = frozenset(place for op in operations if op.scope is None for place in _places(op.path, mount))
    app[HTTP_METRICS] = HttpMetrics()
    app[metrics.INSTALLATION] = InstallationReader(client)
    app[DRAINING] = asyncio.Event()
    app[LEAVING] = asyncio.Event()
    app[BACKGROUND] = set()
    app.cleanup_ctx.append(_connections)
    app.cleanup_ctx.append(probes.probe)
    app[MOUNT] = mount
    described = openapi.document(importlib.metadata.version("lineshaft"), operations, mount, _security(settings))
    if custom_app:
        app.cleanup_ctx.append(lambda _: lifespan.running(custom_app.app, custom_app.state))
        document.extend(described, custom_app.app, custom_app.routes)
    app[OPENAPI] = msgspec.json.encode(described)
    app[cors.CORS] = cors.Cors(_cors(settings))
    app.on_response_prepare.append(cors.add_headers)
    app.on_response_prepare.append(identity.echo)
    app.on_response_prepare.append(errors.note_start)
    app.on_response_prepare.append(note_stream)
    app.on_shutdown.append(_drain)
    paths = {op.path for op in operations}
    for op in operations:
        handler = bind(op)
        for place in _places(_pattern(op.path, paths), mount):
            resource = app.router.add_resource(place)
            resource.add_route(op.method, handler)
            if op.method == "GET":
                resource.add_route("HEAD", handler)
    return app


def _authenticator(client: Client, settings: Settings) -> Authenticator:
    """Raises ConfigError."""
    if settings.langgraph_auth.path:
        if settings.lineshaft_auth == "keys":
            raise ConfigError("LINESHAFT_AUTH=keys and auth.path of langgraph.json exclude each other: leave one out")
        return custom.load(settings.langgraph_auth, studio=settings.lineshaft_studio)
    return KeyAuthenticator(client) if settings.lineshaft_auth == "keys" else NoAuthenticator()


def _security(settings: Settings) -> openapi.Security | None:
    """What the document says of it; the user's own code may have its own words."""
    if settings.langgraph_auth.path:
        own = settings.langgraph_auth.openapi
        return openapi.Security(own.security_schemes, own.security)
    return openapi.API_KEYS if settings.lineshaft_auth == "keys" else None


def _enabled(operations: list[Operation], config: HttpConfig) -> list[Operation]:
    """Those that langgraph.json does not turn off."""
    off = [op for name, group in _GROUPS.items() if getattr(config, f"disable_{name}") for op in group]
    return [op for op in operations if op not in off]


def _custom_app(config: HttpConfig, mount: str) -> CustomApp | None:
    if not config.app:
        return None
    guard = check_in if config.enable_custom_route_auth else None
    return CustomApp(loading.load(config), mount=mount, guard=guard)


def _asking(custom_app: CustomApp | None, config: HttpConfig) -> list[Middleware]:
    """Who is asking is found out behind the user's middleware, or in front of it."""
    behind: list[Middleware] = [errors.translate, authenticate, limit]
    if custom_app is None:
        return behind
    if config.middleware_order == "middleware_first":
        return [custom_app.surround, *behind]

    @web.middleware
    async def authenticate_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not custom_app.has_route_for(request):
            return await authenticate(request, handler)
        if config.enable_custom_route_auth:
            request[CALLER] = await request.app[AUTHENTICATOR].authenticate(request)
        return await handler(request)

    return [errors.translate, authenticate_first, limit, custom_app.surround, errors.translate]


def _mount(settings: Settings) -> str:
    mount = settings.mount_prefix or settings.langgraph_http.mount_prefix or ""
    if mount and not re.fullmatch(MOUNT_PATTERN, mount):
        raise ConfigError(f"environment variable MOUNT_PREFIX={mount!r}: expected a path as /agent")
    return mount


def _cors(settings: Settings) -> CorsConfig:
    if settings.langgraph_http.cors:
        return settings.langgraph_http.cors
    origins = tuple(origin.strip() for origin in settings.cors_allow_origins.split(",") if origin.strip())
    return msgspec.structs.replace(cors.ANY_PAGE, allow_origins=origins)


def _places(path: str, mount: str) -> list[str]:
    """Where a path is served."""
    below = mount if mount and path == "/" else mount + path
    return [below, path] if mount and path in _AT_ROOT else [below]


def _pattern(path: str, paths: set[str]) -> str:
    """A path as the router takes it: `/runs/{run_id}` is not for `/runs/batch`.

    GET would be told there that "batch" is no id, in place of 405: there is something, but not for this method. Below
    _NAMES_ARE_IDS clients of the official server are told just that.
    """
    if path.startswith(_NAMES_ARE_IDS):
        return path
    head, _, last = path.rpartition("/")
    names = [name for h, _, name in (other.rpartition("/") for other in paths) if h == head and "{" not in name]
    if not last.startswith("{") or not names:
        return path
    return f"{head}/{{{last.strip('{}')}:(?!(?:{'|'.join(map(re.escape, sorted(names)))})$)[^/]+}}"


async def check_in(request: web.Request) -> None:
    """Find out who asks for a route of the user's own. Raises Unauthorized, TooMany, or what the user's code raises."""
    if CALLER in request:
        return
    request[CALLER] = await request.app[AUTHENTICATOR].authenticate(request)
    await count_request(request)


@web.middleware
async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse whoever asks too often."""
    if CALLER in request:
        await count_request(request)
    return await handler(request)


async def _drain(app: web.Application) -> None:
    """Streams that their clients can resume elsewhere end now, others and waits get a moment to come to their ends."""
    app[DRAINING].set()
    asyncio.get_running_loop().call_later(app[SETTINGS].lineshaft_gateway_grace_seconds, app[LEAVING].set)


async def _connections(app: web.Application) -> AsyncIterator[None]:
    """What reads from Redis by blocking: the hub of all streams, and the pops that wait for answers to queries."""
    client = app[CLIENT]
    blocking = client.blocking()
    app[QUERIES] = Queries(client, blocking)
    hub = app[HUB] = Hub(client)
    listening = asyncio.create_task(hub.run())
    yield
    listening.cancel()
    await asyncio.gather(listening, *app[BACKGROUND], return_exceptions=True)
    await blocking.aclose()
