"""Whose part of the store an operation works on: authorization writes that into the namespace."""

from typing import Any

from aiohttp import web

from lineshaft.errors import ConfigError
from lineshaft.store.item_filter import check_operators

from . import sight


async def allowed(request: web.Request, action: str, namespace: tuple[str, ...], **value: Any) -> dict[str, Any]:
    """The value of a store operation as the authorization leaves it; `namespace` is the whole one, or a prefix.

    A filter that it returns for a search is a condition on the items' values, beside the client's own.
    Raises Forbidden, and what the authorization of the user's own raises.
    """
    asked = {"namespace": namespace, **value}
    visible = await sight.authorize(request, "store", action, asked)
    labels = tuple(asked["namespace"] or ())
    if not all(isinstance(label, str) and label for label in labels):
        raise ConfigError(f"auth: the handler for store.{action} made the namespace {labels!r}")
    asked["namespace"] = labels
    if visible is not None and action == "search":
        if not visible.is_exact:
            raise ConfigError("auth: a filter for store.search must be of the form {field: value}")
        wanted = asked["filter"] or {}
        # A field that the client compares too must pass both.
        asked["filter"] = {**wanted, **{name: _both(wanted.get(name), own) for name, own in visible.exact.items()}}
        check_operators(asked["filter"])
    return asked


def _both(wished: Any, own: Any) -> Any:
    """What meets both: the client's wish for a field, and the value that it must have."""
    if wished in (None, own, {"$eq": own}):
        return own
    if isinstance(wished, dict) and "$eq" not in wished and all(name.startswith("$") for name in wished):
        return {**wished, "$eq": own}
    return {"$eq": own, "$ne": own}  # nothing
