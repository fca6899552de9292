"""A request as the code at auth.path may ask for it, by the names of the parameters that it takes."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from lineshaft.errors import ConfigError

PARAMETERS = frozenset(
    {
        "request", "body", "user", "path", "method", "scopes", "path_params", "query_params", "headers",
        "authorization", "scope",
    }
)  # fmt: skip


class AuthRequest:
    """The part of Starlette's Request that such code uses. The request itself is aiohttp's, which differs."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.headers: Mapping[str, str] = request.headers
        self.method = request.method
        self.url = request.url
        self.path_params: Mapping[str, str] = dict(request.match_info)
        self.query_params: Mapping[str, str] = request.query
        self.cookies = request.cookies
        self.client = (request.remote, 0) if request.remote else None

    @property
    def scope(self) -> dict[str, Any]:
        """What ASGI calls this request."""
        return {
            "type": "http",
            "method": self.method,
            "path": self._request.path,
            "raw_path": self._request.raw_path.encode(),
            "query_string": self._request.query_string.encode(),
            "headers": [(name.lower(), value) for name, value in self._request.raw_headers],
            "path_params": self.path_params,
            "scheme": self._request.scheme,
            "client": self.client,
        }

    async def body(self) -> bytes:
        """All of it."""
        return await self._request.read()

    async def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(await self.body())


def wanted(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters that `authenticate` asks for. Raises ConfigError for one that nobody can give."""
    names = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in PARAMETERS:
            names.add(name)
        elif parameter.default is parameter.empty:
            raise ConfigError(f"auth: authenticate asks for {name!r}; there are {', '.join(sorted(PARAMETERS))}")
    return frozenset(names)


async def arguments(request: web.Request, names: frozenset[str]) -> dict[str, Any]:
    """Their values for one request."""
    shown = AuthRequest(request)
    given: dict[str, Any] = {
        "request": shown,
        "user": None,
        "path": request.path,
        "method": request.method,
        "scopes": [],
        "path_params": shown.path_params,
        "query_params": dict(request.query),
        "headers": {name.lower(): value for name, value in request.raw_headers},
        "authorization": request.headers.get("Authorization"),
    }
    chosen = {name: value for name, value in given.items() if name in names}
    if "scope" in names:
        chosen["scope"] = shown.scope
    if "body" in names:
        try:
            chosen["body"] = await shown.json()
        except msgspec.DecodeError:  # whoever it is, the operation will refuse it later
            chosen["body"] = None
    return chosen
