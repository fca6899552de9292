"""API keys at the door of the gateway: `X-Api-Key`, or `Authorization: Bearer`."""

import asyncio
import time
from collections import OrderedDict
from typing import Any

from aiohttp import web
from msgspec import Struct

from lineshaft.access.api_keys import ApiKey, ApiKeys
from lineshaft.access.visibility import GraphLimit, Visible
from lineshaft.errors import Forbidden, TooMany, Unauthorized
from lineshaft.redis.client import Client
from lineshaft.runs.request import RunUser
from lineshaft.telemetry import log
from lineshaft_api.context import BACKGROUND

from .caller import Caller

logger = log.get("auth")

# Seconds that a key is taken without another look: so long a revoked one may still be used. A look is one round trip.
CACHE_SECONDS = 5.0
_CACHED = 10_000  # keys; each has some hundred bytes
_USE_SECONDS = 60.0  # between two notes that a key is used: one is a write
# Wrong keys from one address within a minute, after which the rest of the minute is told 429. Right ones pass all the
# while: behind a proxy everybody has the same address. Nobody guesses 256 bits; this is for clients that never give up.
_FAILURES = 20
_WINDOW_SECONDS = 60.0
_ADDRESSES = 10_000  # that failures are counted for; beyond it the oldest are forgotten


class _Known(Struct):
    key: ApiKey
    caller: Caller
    until: float  # monotonic


class _Failures(Struct):
    since: float  # monotonic
    count: int = 0


class KeyAuthenticator:
    """Lets in who brings a key that is in Redis, not revoked and not expired."""

    def __init__(self, client: Client) -> None:
        self._keys = ApiKeys(client)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._noted: dict[str, float] = {}  # key id -> when its use was noted last, monotonic
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    async def authenticate(self, request: web.Request) -> Caller:
        """Raises Unauthorized, or TooMany when that happens again and again."""
        token = _token(request)
        now = time.monotonic()
        known = self._known.get(token)
        if known is None or known.until <= now or known.key.is_expired:
            self._known.pop(token, None)
            key = await self._keys.check(token)
            if key is None:
                raise self._failed(request.remote or "", missing=not token)
            caller = _caller(key)
            known = self._known[token] = _Known(key, caller, now + CACHE_SECONDS)
            if len(self._known) > _CACHED:
                self._known.popitem(last=False)
        self._note_use(request, known.key, now)
        return known.caller

    async def authorize(self, caller: Caller, resource: str, action: str, value: dict[str, Any]) -> Visible | None:  # noqa: ARG002 - for other authenticators
        """A key for some graphs sees what is of these only, and nothing that is of no graph."""
        if not caller.graphs:
            return None
        if resource in {"crons", "store"}:
            raise Forbidden(f"This key is for some graphs only: it may not use {resource}")
        return GraphLimit(caller.graphs)

    def _failed(self, address: str, *, missing: bool) -> Unauthorized | TooMany:
        now = time.monotonic()
        failures = self._failures.get(address)
        if failures is None or now - failures.since > _WINDOW_SECONDS:
            self._failures.pop(address, None)
            failures = self._failures[address] = _Failures(now)
            if len(self._failures) > _ADDRESSES:
                self._failures.popitem(last=False)
        failures.count += 1
        if failures.count > _FAILURES:
            wait = int(failures.since + _WINDOW_SECONDS - now) + 1
            return TooMany(f"Too many wrong keys from {address}: wait {wait} s, and mend the key", retry_after=wait)
        logger.warning("refused", address=address, reason="no key" if missing else "unknown key")
        if missing:
            says = "An API key is needed: send it as X-Api-Key, or as Authorization: Bearer <key>"
            return Unauthorized(says, challenge="Bearer")
        return Unauthorized("This API key is unknown, revoked or expired", challenge='Bearer error="invalid_token"')

    def _note_use(self, request: web.Request, key: ApiKey, now: float) -> None:
        """In the background: no request waits for it, and none fails by it."""
        if now - self._noted.get(key.key_id, -_USE_SECONDS) < _USE_SECONDS:
            return
        if len(self._noted) >= _CACHED:
            self._noted.clear()
        self._noted[key.key_id] = now
        background = request.app[BACKGROUND]
        task = asyncio.create_task(self._keys.note_use(key.key_id))
        background.add(task)
        task.add_done_callback(background.discard)
        task.add_done_callback(_say_failure)


def _caller(key: ApiKey) -> Caller:
    user = {"identity": key.key_id, "display_name": key.name, "is_authenticated": True, "permissions": [key.scope]}
    return Caller(
        identity=key.key_id,
        scope=key.scope,
        graphs=frozenset(key.graphs),
        run_user=RunUser(key.key_id, [key.scope], user),
        requests_per_minute=key.requests_per_minute,
        runs_per_day=key.runs_per_day,
    )


def _say_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.warning("the use of a key could not be noted", error=str(error))


def _token(request: web.Request) -> str:
    """The key that a request brings, or ''. Clients of the official server send the first header."""
    if key := request.headers.get("X-Api-Key"):
        return key.strip()
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""
