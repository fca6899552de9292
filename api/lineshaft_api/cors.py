"""Lets pages of other origins use this server: Studio and chat front ends run in a browser."""

import re

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from lineshaft.config.http import CorsConfig

# Any page, but without cookies. The last of the exposed headers but one: which run this is, and where the official
# client goes on when its stream breaks off.
ANY_PAGE = CorsConfig(
    allow_origins=("*",),
    allow_methods=("*",),
    allow_headers=("*",),
    expose_headers=("x-pagination-total", "x-pagination-next", "content-location", "location", "x-request-id"),
)
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_ALWAYS_ALLOWED = {"accept", "accept-language", "content-language", "content-type"}  # as browsers have it


class Cors:
    """One configuration, as it applies to requests."""

    def __init__(self, config: CorsConfig) -> None:
        self._config = config
        self._any_origin = "*" in config.allow_origins
        self._origin = re.compile(config.allow_origin_regex or r"(?!)")
        self._methods = _METHODS if "*" in config.allow_methods else config.allow_methods
        self._headers = {name.lower() for name in config.allow_headers} | _ALWAYS_ALLOWED
        # With credentials browsers do not take a `*`.
        self._same_for_all = self._any_origin and not config.allow_credentials

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may read what we answer."""
        return self._any_origin or origin in self._config.allow_origins or bool(self._origin.fullmatch(origin))

    def headers(self, origin: str | None) -> dict[str, str]:
        """What every answer carries."""
        headers = {}
        if self._same_for_all:
            headers["Access-Control-Allow-Origin"] = "*"
        elif origin is not None and self.allows(origin):
            headers["Access-Control-Allow-Origin"] = origin
            if self._config.allow_credentials:
                headers["Access-Control-Allow-Credentials"] = "true"
        if headers and self._config.expose_headers:
            headers["Access-Control-Expose-Headers"] = ", ".join(self._config.expose_headers)
        return headers

    def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether it may send a request: 400 names what is not allowed."""
        asked, origin = request.headers, request.headers["Origin"]
        wanted = asked.get("Access-Control-Request-Headers", "")
        mistakes = []
        if not self.allows(origin):
            mistakes.append("origin")
        if asked["Access-Control-Request-Method"] not in self._methods:
            mistakes.append("method")
        names = {name.strip().lower() for name in wanted.split(",") if name.strip()}
        if "*" not in self._headers and not names <= self._headers:
            mistakes.append("headers")
        if mistakes:
            return web.Response(status=400, text=f"Disallowed CORS {', '.join(mistakes)}")
        headers = {
            "Access-Control-Allow-Methods": ", ".join(self._methods),
            "Access-Control-Max-Age": str(self._config.max_age),
        }
        if wanted:
            headers["Access-Control-Allow-Headers"] = wanted
        # Studio is served from a public address and talks to this one: browsers ask before they let it in.
        if asked.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(text="OK", headers=headers)

    def mark(self, headers: CIMultiDict[str], origin: str | None) -> None:
        """Add to an answer what lets the page read it."""
        headers.update(self.headers(origin))
        # Always, as on the official server. An answer that went through `http.app` comes by here a second time.
        if "Origin" not in headers.getall("Vary", ()):
            headers.add("Vary", "Origin")


CORS = web.AppKey("CORS", Cors)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler, so that errors and streams have the headers too."""
    request.app[CORS].mark(response.headers, request.headers.get("Origin"))


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser's question; other requests go on."""
    if request.method != "OPTIONS" or not {"Origin", "Access-Control-Request-Method"} <= request.headers.keys():
        return await handler(request)
    return request.app[CORS].preflight(request)
