"""What the user's application says of its own routes, for the OpenAPI document."""

import importlib
from typing import Any

from lineshaft.telemetry import log

logger = log.get("http.app")


def extend(document: dict[str, Any], app: Any, routes: list[Any]) -> None:
    """Add the application's paths, which come before ours, and their schemas.

    FastAPI knows its own; a Starlette route is described as YAML in its docstring, behind a line `---`.
    """
    described = _by_itself(app) if hasattr(app, "openapi") else _by_docstrings(routes)
    for path, entries in described.get("paths", {}).items():
        document["paths"][path] = {**document["paths"].get(path, {}), **entries}
    for kind, components in described.get("components", {}).items():
        ours = document["components"].setdefault(kind, {})
        for name, component in components.items():
            if name in ours and ours[name] != component:
                logger.warning("not documented: http.app has a schema of the same name as ours", name=name)
                continue
            ours[name] = component


def _by_itself(app: Any) -> dict[str, Any]:
    try:
        document: dict[str, Any] = app.openapi()
    except Exception:  # the user's code: without its part of the document the server is as good
        logger.exception("the routes of http.app are not documented: its openapi() failed")
        return {}
    return document


def _by_docstrings(routes: list[Any]) -> dict[str, Any]:
    # The application brings Starlette along; the gateway itself does without.
    generator = importlib.import_module("starlette.schemas").SchemaGenerator({})
    paths: dict[str, Any] = {}
    for route in routes:
        try:
            found = generator.get_schema(routes=[route])["paths"]
        except Exception as error:  # noqa: BLE001 - YAML that is none: a mistake in one docstring hides one route
            logger.warning("a route of http.app is not documented", route=getattr(route, "path", ""), error=str(error))
            continue
        for path, entries in found.items():
            paths.setdefault(path, {}).update(entries)
    return {"paths": paths}
