"""The user's application around every request.

Its middleware sees all of them. Behind that, a path that it has a route for is its own, and anything else is ours;
except for the few where operators look, which it cannot take.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from lineshaft.telemetry import log
from lineshaft_api.auth.caller import CALLER
from lineshaft_api.errors import problem, translate
from lineshaft_api.metrics import route_of

from . import inside
from .outside import Message, Outside, Receive, Scope, Send, scope_of

logger = log.get("http.app")

# Below the mount, with what is under them.
_OURS = ("/ok", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json")
_FULL = 2  # of Starlette's Match: the path and the method
_KEY = "lineshaft"  # where the scope holds what it was made of

Guard = Callable[[web.Request], Awaitable[None]]


class CustomApp:
    """One application: Starlette's, or what is made of it, as FastAPI's."""

    def __init__(self, app: Any, *, mount: str = "", guard: Guard | None = None) -> None:
        """Take over its router. `guard` raises for who may not use the application's own routes."""
        self.app = app
        self.routes: list[Any] = app.router.routes
        self.state: dict[str, Any] = {}  # what its lifespan hands to its routes
        self._mount = mount
        self._guard = guard
        self._router = app.router
        # The innermost of the application: asked when its middleware has let a request through.
        app.router = _Router(app.router, self._dispatch)

    def has_route_for(self, request: web.Request) -> bool:
        """Whether a request is for one of the application's own routes."""
        return self._matches(scope_of(request, self._mount, {}))

    @web.middleware
    async def surround(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A middleware of aiohttp. WebSockets pass by: they are no exchange of one request and one answer."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await handler(request)
        outside = Outside(request)
        scope = scope_of(request, self._mount, self.state)
        scope[_KEY] = (request, handler, outside)
        try:
            await self.app(scope, outside.receive, outside.send)
        except ConnectionError:
            raise  # the client has gone; aiohttp closes the connection
        except Exception as error:
            # Starlette has answered 500 by now, and raises the error for whoever logs it.
            if not outside.broken:
                _log(request, error)
            if outside.response is not None and not outside.ended.is_set():
                raise ConnectionResetError("the response had begun when http.app failed") from error
        finally:
            outside.ended.set()
        return outside.response or problem(500, "Internal Server Error")

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, handler, outside = scope[_KEY]
        began = False

        async def noting(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        inner = inside.request_in(request, scope, receive, noting)
        try:
            if not self._matches(scope):
                await inside.serve(inner, handler)
            elif refusal := await self._refusal(inner):
                await inside.serve(inner, _giving(refusal))
            else:
                if CALLER in inner:
                    scope["user"] = inner[CALLER].user
                await self._router(scope, inside.once_more(inner, receive), noting)
        except Exception as error:
            outside.broken = began
            if began and not isinstance(error, ConnectionError):
                _log(request, error)  # some middleware keeps it to itself
            if began or not isinstance(error, ValueError):
                raise
            # A ValueError of the application's is a bad request, as it is to the official server.
            await inside.serve(inner, _giving(problem(400, str(error))))

    async def _refusal(self, inner: web.Request) -> web.StreamResponse | None:
        """The answer to who may not use the application's own routes."""
        if not (guard := self._guard):
            return None
        passed = web.Response()

        async def ask(request: web.Request) -> web.StreamResponse:
            await guard(request)
            return passed

        answer = await translate(inner, ask)
        return None if answer is passed else answer

    def _matches(self, scope: Scope) -> bool:
        path = scope["path"][len(self._mount) :]
        if scope["root_path"] != self._mount or any(path == ours or path.startswith(f"{ours}/") for ours in _OURS):
            return False
        return any(route.matches(scope)[0].value == _FULL for route in self.routes)


class _Router:
    """Stands in the place of the application's router, and is it in all but requests."""

    def __init__(self, router: Any, dispatch: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._router = router
        self._dispatch = dispatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._dispatch if scope["type"] == "http" else self._router)(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)


def _log(request: web.Request, error: Exception) -> None:
    logger.error("request failed", method=request.method, route=route_of(request), exc_info=error)


def _giving(response: web.StreamResponse) -> Handler:
    async def give(_request: web.Request) -> web.StreamResponse:
        return response

    return give
