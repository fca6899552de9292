"""What a handler reaches through its application: `request.app[CLIENT]` and the like, typed."""

import asyncio

from aiohttp import web

from lineshaft.queries import Queries
from lineshaft.redis import Client
from lineshaft.settings import Settings

from .hub import Hub

CLIENT = web.AppKey("CLIENT", Client)
SETTINGS = web.AppKey("SETTINGS", Settings)
HUB = web.AppKey("HUB", Hub)
QUERIES = web.AppKey("QUERIES", Queries)

# What goes on after its request has ended.
BACKGROUND: web.AppKey[set[asyncio.Task[None]]] = web.AppKey("BACKGROUND", set)

# Set as soon as the gateway shuts down: streams end themselves then, and a connection that closes is our doing.
DRAINING = web.AppKey("DRAINING", asyncio.Event)

# The OpenAPI document, encoded once.
OPENAPI = web.AppKey("OPENAPI", bytes)

# The client's `x-request-id`, else one of ours: `request[REQUEST_ID]`.
REQUEST_ID = web.RequestKey("REQUEST_ID", str)
