"""Puts the gateway together: its routes, what they share, and what surrounds every request."""

import asyncio
import importlib.metadata
import random
import uuid
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

from lineshaft.queries import Queries
from lineshaft.redis import Client
from lineshaft.settings import Settings

from . import cors, errors, openapi
from .context import BACKGROUND, CLIENT, DRAINING, HUB, OPENAPI, QUERIES, REQUEST_ID, SETTINGS
from .hub import Hub
from .operation import Operation, bind
from .routes import assistants, docs, messages, meta, runs, states, streams, threads

OPERATIONS: list[Operation] = [
    operation
    for module in (meta, docs, assistants, threads, messages, states, runs, streams)
    for operation in module.OPERATIONS
]


def build(client: Client, settings: Settings, operations: list[Operation] = OPERATIONS) -> web.Application:
    """The application. The caller owns the client."""
    app = web.Application(
        middlewares=[cors.preflight, identify, errors.translate],
        client_max_size=settings.http_max_request_body_bytes,
    )
    app[CLIENT] = client
    app[SETTINGS] = settings
    app[DRAINING] = asyncio.Event()
    app[BACKGROUND] = set()
    app.cleanup_ctx.append(_connections)
    app[OPENAPI] = openapi.encoded(importlib.metadata.version("lineshaft"), operations)
    app.on_response_prepare.append(cors.add_headers)
    app.on_response_prepare.append(errors.note_start)
    app.on_shutdown.append(_drain)
    for op in operations:
        handler = bind(op)
        resource = app.router.add_resource(op.path)
        resource.add_route(op.method, handler)
        if op.method == "GET":
            resource.add_route("HEAD", handler)
    return app


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id by which logs and runs name it."""
    # Unique, not secret: uuid4 would ask the operating system for randomness, at every request.
    request[REQUEST_ID] = request.headers.get("x-request-id") or str(uuid.UUID(int=random.getrandbits(128), version=4))
    return await handler(request)


async def _drain(app: web.Application) -> None:
    app[DRAINING].set()


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
