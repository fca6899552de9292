"""The page that shows the OpenAPI document: a viewer that is part of the package, so it needs no other host."""

from pathlib import Path

from aiohttp import web

from lineshaft.errors import NotFound
from lineshaft_api.operation import Operation, operation

_FOLDER = Path(__file__).parent.parent / "docs"
_ASSETS = frozenset({"start.js", "swagger-ui.css", "swagger-ui-bundle.js"})
# The browser itself refuses what would leave this host. The viewer sets styles from its script, and has images inline.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


@operation("GET", "/docs", media="text/html", tags=("System",))
async def get_docs(_request: web.Request) -> web.FileResponse:
    """Show the OpenAPI document as a page to read and try."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _POLICY}
    return web.FileResponse(_FOLDER / "index.html", headers=headers)


@operation("GET", "/docs/{asset}", media="application/octet-stream", errors=(404,), tags=("System",))
async def get_docs_asset(_request: web.Request, asset: str) -> web.FileResponse:
    """A file of the page."""
    if asset not in _ASSETS:
        raise NotFound("Not Found")
    return web.FileResponse(_FOLDER / asset)


OPERATIONS: list[Operation] = [get_docs, get_docs_asset]
