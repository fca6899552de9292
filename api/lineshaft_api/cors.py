"""Lets pages of any origin use this server: Studio and chat front ends run in a browser."""

from aiohttp import web
from aiohttp.typedefs import Handler

_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "x-pagination-total, x-pagination-next, content-location",
}
_MAX_AGE = "600"  # seconds; what browsers keep a preflight for at most differs, the reference server says this


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler, so that errors and streams have the headers too."""
    response.headers.update(_HEADERS)


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser that asks whether it may send a request."""
    if request.method != "OPTIONS" or not {"Origin", "Access-Control-Request-Method"} <= request.headers.keys():
        return await handler(request)
    headers = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": _MAX_AGE}
    if wanted := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = wanted
    # Studio is served from a public address and talks to this one: browsers ask before they let it in.
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(text="OK", headers=headers)
