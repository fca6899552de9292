"""What all operations for operators have in common: who may call them, and that each action is audited."""

from aiohttp import web
from msgspec import Struct

from lineshaft.access.audit import Audit
from lineshaft.redis.client import Client
from lineshaft_api.auth.caller import CALLER
from lineshaft_api.context import CLIENT

TAGS = ("Operations",)


class Done(Struct):
    """What became of an action. `changed` is false if it was so already, as after a repeated call."""

    changed: bool
    detail: str


def client_of(request: web.Request) -> Client:
    """Redis, as this gateway has it."""
    return request.app[CLIENT]


def audit_of(request: web.Request) -> Audit:
    """Notes what this caller does."""
    return Audit(request.app[CLIENT], request[CALLER].identity or f"anyone at {request.remote}")
