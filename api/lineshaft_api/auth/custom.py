"""Asks the user's own code, the langgraph_sdk.Auth at auth.path, who a caller is and what they may do.

It runs in the gateway: coroutines on its event loop, other functions in threads, each for some seconds at most.
"""

import asyncio
import functools
import inspect
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from lineshaft.access.visibility import Condition, Visible
from lineshaft.config import modules
from lineshaft.config.auth import AuthConfig
from lineshaft.errors import BadRequest, ConfigError, Forbidden, LineshaftError, Refused, Unauthorized, Unavailable
from lineshaft.runs.request import RunUser

from . import request as parameters
from .caller import Caller
from .threads import Threads
from .user import User

if TYPE_CHECKING:
    from langgraph_sdk import Auth

# Seconds. Long enough to ask an identity provider, short enough that one which hangs does not collect all clients.
PATIENCE = 10.0
_STUDIO = "langgraph-studio-user"
_REFUSALS: dict[int, type[LineshaftError]] = {401: Unauthorized, 403: Forbidden}
Handler = Callable[..., Awaitable[Any]]


class CustomAuthenticator:
    """`studio`: whoever says that they are Studio, on this machine, needs no credentials."""

    def __init__(self, auth: "Auth", config: AuthConfig, *, studio: bool) -> None:
        """Raises ConfigError."""
        # The object has no public way to its functions, and the official server goes this one.
        function = auth._authenticate_handler  # noqa: SLF001 - as said
        if function is None:
            raise ConfigError(f"auth: {config.path} has no @auth.authenticate function")
        self._handlers: dict[tuple[str, str], list[Handler]] = dict(auth._handlers)  # noqa: SLF001 - as said
        self._global: list[Handler] = list(auth._global_handlers)  # noqa: SLF001 - as said
        self._authenticate: Callable[..., Any] = function
        self._types = auth.types
        self._refusal = auth.exceptions.HTTPException
        self._wanted = parameters.wanted(self._authenticate)
        self._studio = studio and not config.disable_studio_auth
        self._threads = Threads()
        self._cache = config.cache
        self._known: OrderedDict[tuple[str | None, ...], tuple[float, Caller]] = OrderedDict()

    async def authenticate(self, request: web.Request) -> Caller:
        """Raises Unauthorized, Forbidden, BadRequest; Unavailable if it takes too long; what the user's code raises."""
        if self._studio and request.headers.get("x-auth-scheme") == "langsmith":
            return _caller(User(self._types.StudioUser(_STUDIO, is_authenticated=True)))
        cache = self._cache
        if cache is None:
            return await self._ask(request)
        key = tuple(request.headers.get(name) for name in cache.cache_keys)
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        caller = await self._ask(request)
        self._known.pop(key, None)
        self._known[key] = (time.monotonic() + cache.ttl_seconds, caller)
        if len(self._known) > cache.max_size:
            self._known.popitem(last=False)
        return caller

    async def authorize(self, caller: Caller, resource: str, action: str, value: dict[str, Any]) -> Visible | None:
        """Ask the most specific handler; it may change `value`. Returns what the caller may see; None: all.

        Raises Forbidden, Refused, Unavailable, and what the user's code raises.
        """
        handler = self._handler(resource, action)
        if handler is None:
            return None
        known: Any = caller.user  # Studio's as its own class, by which handlers tell it
        if isinstance(known.source, self._types.StudioUser):
            known = known.source
        context = self._types.AuthContext(
            permissions=caller.user.permissions,
            user=known,
            resource=resource,
            action=action,
        )
        try:
            answer = await _in_time(handler(ctx=context, value=value))
        except self._refusal as error:
            raise Refused(error.status_code, error.detail, dict(error.headers or {})) from None
        except AssertionError as error:
            raise Forbidden(str(error)) from None
        if answer is None or answer is True:
            return None
        if answer is False:
            raise Forbidden("Forbidden")
        if not isinstance(answer, dict):
            raise ConfigError(f"auth: the handler for {resource}.{action} returned {type(answer).__name__}")
        return Condition(answer) if answer else None

    def _handler(self, resource: str, action: str) -> Handler | None:
        for pair in ((resource, action), (resource, "*"), ("*", action), ("*", "*")):
            if found := self._handlers.get(pair):
                return found[-1]
        return self._global[-1] if self._global else None

    async def _ask(self, request: web.Request) -> Caller:
        given = await parameters.arguments(request, self._wanted)
        try:
            if inspect.iscoroutinefunction(self._authenticate):
                answer = await _in_time(self._authenticate(**given))
            else:
                answer = await _in_time(self._threads.call(functools.partial(self._authenticate, **given)))
                if inspect.isawaitable(answer):
                    answer = await _in_time(answer)
        except self._refusal as error:
            if error.status_code in _REFUSALS:
                raise _REFUSALS[error.status_code](error.detail) from None
            raise ConfigError(
                f"auth: authenticate raised status {error.status_code}; 401 and 403 are for it"
            ) from error
        if answer is None:
            raise BadRequest("The authentication of this server returned a user without an identity")
        if isinstance(answer, tuple) and len(answer) == 2:
            scopes: Any = getattr(answer[0], "scopes", answer[0])
            return _caller(User(answer[1], list(scopes)))
        return _caller(User(answer))


def load(config: AuthConfig, *, studio: bool) -> CustomAuthenticator:
    """Load the code at auth.path. Raises ConfigError of one line for whatever is wrong with it."""
    path = config.path or ""
    auth = modules.load_attribute("auth.path", path, [Path(folder) for folder in config.folders])
    # Not above: it loads langchain, which a gateway without such code never needs.
    from langgraph_sdk import Auth  # noqa: PLC0415 - as said

    if not isinstance(auth, Auth):
        raise ConfigError(f"auth.path: {path} is {'missing' if auth is None else 'no langgraph_sdk.Auth'}")
    return CustomAuthenticator(auth, config, studio=studio)


def _caller(user: User) -> Caller:
    document = user.shown()
    return Caller(
        identity=user.identity,
        # What operators do goes past what @auth.on handlers say of single objects: it is for those named for it.
        scope="admin" if "admin" in user.permissions else "write",
        user=user,
        run_user=RunUser(user.identity, [str(p) for p in user.permissions], document),
    )


async def _in_time(asked: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(PATIENCE):
            return await asked
    except TimeoutError:
        raise Unavailable(f"The authentication of this server did not answer within {PATIENCE:.0f} s") from None
