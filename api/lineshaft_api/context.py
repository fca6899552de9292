"""What a handler reaches through its application: `request.app[CLIENT]` and the like, typed."""

import asyncio

from aiohttp import web

from lineshaft.assistants.queries import Queries
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client

from .hub import Hub

CLIENT = web.AppKey("CLIENT", Client)
SETTINGS = web.AppKey("SETTINGS", Settings)
HUB = web.AppKey("HUB", Hub)
QUERIES = web.AppKey("QUERIES", Queries)

# What goes on after its request has ended.
BACKGROUND: web.AppKey[set[asyncio.Task[None]]] = web.AppKey("BACKGROUND", set)

# Set as soon as the gateway shuts down: a connection that closes is our doing then, and cancels nothing.
DRAINING = web.AppKey("DRAINING", asyncio.Event)

# Set when a gateway that shuts down has waited for its answers for long enough: what is left is cut off.
LEAVING = web.AppKey("LEAVING", asyncio.Event)

# The OpenAPI document, encoded once.
OPENAPI = web.AppKey("OPENAPI", bytes)

# The path that everything is under, '' or as `/agent`.
MOUNT = web.AppKey("MOUNT", str)

# The client's `x-request-id`, else one of ours: `request[REQUEST_ID]`.
REQUEST_ID = web.RequestKey("REQUEST_ID", str)
