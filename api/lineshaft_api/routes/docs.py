"""The page that shows the OpenAPI document: a viewer that is part of the package, so it needs no other host."""

import functools
from pathlib import Path

from aiohttp import web

from lineshaft.errors import NotFound
from lineshaft_api.operation import Operation, operation

_FOLDER = Path(__file__).parent.parent / "docs"
_ASSETS = frozenset({"start.js", "swagger-ui.css", "swagger-ui-bundle.js"})
# The browser itself refuses what would leave this host. The viewer sets styles from its script, and has images inline.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


@operation("GET", "/docs", media="text/html", tags=("System",), public=True)
async def get_docs(_request: web.Request) -> web.Response:
    """Show the OpenAPI document as a page to read and try."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _POLICY}
    return web.Response(body=_read("index.html"), headers=headers)


@operation("GET", "/docs/{asset}", media="application/octet-stream", errors=(404,), tags=("System",), public=True)
async def get_docs_asset(_request: web.Request, asset: str) -> web.Response:
    """A file of the page."""
    if asset not in _ASSETS:
        raise NotFound("Not Found")
    kind = "text/css" if asset.endswith(".css") else "text/javascript"
    return web.Response(body=_read(asset), content_type=kind, charset="utf-8")


@functools.cache
def _read(name: str) -> bytes:
    """A file of the page, kept: aiohttp would send a file past the middleware of `http.app`."""
    return (_FOLDER / name).read_bytes()


OPERATIONS: list[Operation] = [get_docs, get_docs_asset]
