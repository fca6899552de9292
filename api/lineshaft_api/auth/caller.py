"""Who is asking: found out once for each request, before anything of it is read."""

from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from lineshaft.access.api_keys import SCOPES, Scope
from lineshaft.access.visibility import Visible
from lineshaft.errors import Forbidden
from lineshaft.runs.request import RunUser


class Caller(Struct, kw_only=True, frozen=True):
    """Whoever sends a request."""

    identity: str = ""
    scope: Scope = "admin"  # what kind of operations are open to them
    graphs: frozenset[str] = frozenset()  # only these; none: all
    user: Any = None  # as the code at auth.path knows them; None without such code
    run_user: RunUser | None = None  # as graphs do
    requests_per_minute: int | None = None  # None: as the settings have it
    runs_per_day: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to ask about what they do."""
        return self.user is not None or bool(self.graphs)

    def may_use(self, graph_id: str | None) -> bool:
        """Whether a graph is among theirs; also if there is none."""
        return graph_id is None or not self.graphs or graph_id in self.graphs

    def require(self, scope: Scope) -> None:
        """Raises Forbidden."""
        if scope == "admin" and self.graphs:
            raise Forbidden("This key is for some graphs only: it may not steer the server")
        if SCOPES.index(self.scope) < SCOPES.index(scope):
            if self.user is not None:
                raise Forbidden(f"This takes the permission {scope!r} among those that `authenticate` returns")
            raise Forbidden(f"This key may only {self.scope}; the operation needs the scope {scope!r}")


class Authenticator(Protocol):
    """Finds out who is asking."""

    async def authenticate(self, request: web.Request) -> Caller:
        """Raises Unauthorized, or what else tells that this request goes no further."""

    async def authorize(self, caller: Caller, resource: str, action: str, value: dict[str, Any]) -> Visible | None:
        """Whether an authenticated caller may do something; `value` is what with, and may be changed.

        Returns what they may see of such objects; None: all. Raises Forbidden.
        """


class NoAuthenticator:
    """Lets everybody in as the same nobody."""

    _nobody = Caller()

    async def authenticate(self, request: web.Request) -> Caller:  # noqa: ARG002 - as declared above
        """Nobody is asked who they are."""
        return self._nobody

    async def authorize(self, caller: Caller, resource: str, action: str, value: dict[str, Any]) -> Visible | None:  # noqa: ARG002 - as declared above
        """Everybody may do everything."""
        return None


AUTHENTICATOR = web.AppKey("AUTHENTICATOR", Authenticator)
# The paths, as operations declare them, that ask for no credentials.
OPEN_PATHS: web.AppKey[frozenset[str]] = web.AppKey("OPEN_PATHS", frozenset)
CALLER = web.RequestKey("CALLER", Caller)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse who may not come in: also at paths that are not there, so that strangers learn nothing of them."""
    resource = request.match_info.route.resource
    if resource is None or resource.canonical not in request.app[OPEN_PATHS]:
        request[CALLER] = await request.app[AUTHENTICATOR].authenticate(request)
    return await handler(request)
