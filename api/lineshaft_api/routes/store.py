"""The long-term store: items and their namespaces."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.clock import iso_of_microseconds
from lineshaft.errors import BadRequest, Invalid
from lineshaft.store.item_filter import check_operators
from lineshaft.store.items import MAX_TTL, Condition, Found, Item, ItemStore, Namespace, Put
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.auth.caller import CALLER
from lineshaft_api.auth.namespace import allowed as _allowed
from lineshaft_api.context import CLIENT, QUERIES, SETTINGS
from lineshaft_api.operation import Operation, operation

_TAGS = ("Store",)
_SEARCH_LIMIT = 10  # items, where a search names no other; 0 means it too, as for clients of the official server

_Labels = Annotated[list[str], Meta(description="Labels from the root on, without dots.", examples=[["users", "u1"]])]
_Key = Annotated[str, Meta(examples=["profile"])]
_Count = Annotated[int, Meta(ge=0)]


class ItemPut(Struct, kw_only=True):
    """An item to store."""

    namespace: _Labels
    key: _Key
    value: Annotated[Raw, Meta(description="A JSON object.", extra_json_schema={"type": "object"})]
    index: Annotated[
        bool | list[str] | None,
        Meta(description="Fields to find it by meaning with; false for none. By default those of the configuration."),
    ] = None
    ttl: (
        Annotated[float, Meta(le=MAX_TTL, description="Minutes to live. By default the configuration's, or for ever.")]
        | None
    ) = None


class ItemQuery(Struct, kw_only=True):
    """Which item to read."""

    namespace: Annotated[str, Meta(description="Labels, joined by dots.")] = ""
    key: Annotated[str | None, Meta(description="The item's key; required.")] = None
    refresh_ttl: Annotated[
        str | None, Meta(description="`true` starts the item's time to live anew, anything else does not.")
    ] = None


class ItemDelete(Struct, kw_only=True):
    """Which item to delete."""

    key: _Key
    namespace: _Labels = []


class ItemSearch(Struct, kw_only=True):
    """Which items to find; all conditions must hold."""

    namespace_prefix: Annotated[
        list[str] | None, Meta(description="At this namespace and below; none means everywhere.")
    ] = None
    filter: Annotated[
        dict[str, Any] | None,
        Meta(
            description="What values must have: equal, or by `$eq $ne $gt $gte $lt $lte`.",
            examples=[{"color": "red", "size": {"$gte": 2}}],
        ),
    ] = None
    limit: Annotated[_Count, Meta(description="The most items to answer with; 0 means 10.")] = _SEARCH_LIMIT
    offset: Annotated[_Count, Meta(description="Items to skip.")] = 0
    query: Annotated[str | None, Meta(description="Find by meaning; without an index it has no effect.")] = None
    refresh_ttl: Annotated[bool | None, Meta(description="Whether their time to live starts anew.")] = None


class NamespaceSearch(Struct, kw_only=True):
    """Which namespaces to list; all conditions must hold."""

    prefix: Annotated[list[str], Meta(description="First labels; `*` stands for any one.")] = []
    suffix: Annotated[list[str], Meta(description="Last labels; `*` stands for any one.")] = []
    max_depth: Annotated[int, Meta(ge=1, description="Cut to so many labels.")] | UnsetType = UNSET
    limit: _Count = 100
    offset: _Count = 0


class StoredItem(Struct, kw_only=True):
    """An item of the store."""

    namespace: Namespace
    key: str
    value: Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
    created_at: str
    updated_at: str


class FoundItem(StoredItem, kw_only=True):
    """An item that a search has found."""

    score: Annotated[float | None, Meta(description="How near its meaning is; null where that was not asked.")] = None


class FoundItems(Struct):
    """What a search has found."""

    items: list[FoundItem]


class Namespaces(Struct):
    """Namespaces, sorted."""

    namespaces: list[Namespace]


@operation("PUT", "/store/items", errors=(400, 503), tags=_TAGS, access=ITSELF)
async def put_item(request: web.Request, body: ItemPut) -> None:
    """Store an item, in place of one that has this namespace and key."""
    namespace = _checked(body.namespace)
    if not namespace:
        raise BadRequest("Namespace cannot be empty.")
    if namespace[0] == "langgraph":
        raise BadRequest('Root label for namespace cannot be "langgraph".')
    if not bytes(body.value).startswith(b"{"):
        raise Invalid("Request body: Expected `object` - at `$.value`")
    if body.index is True:
        raise Invalid("Request body: Expected `false`, a list of fields or null - at `$.index`")
    given = None if request[CALLER].user is None else msgspec.json.decode(body.value)
    asked = await _allowed(request, "put", namespace, key=body.key, value=given, index=body.index)
    namespace, body.key = asked["namespace"], asked["key"]
    if asked["value"] != given:
        body.value = Raw(msgspec.json.encode(asked["value"]))
    ttl = request.app[SETTINGS].langgraph_store.ttl.default_ttl if body.ttl is None else body.ttl
    vectors = b""
    if request.app[SETTINGS].langgraph_store.index and body.index is not False:
        answer = await request.app[QUERIES].ask("embed", "", "", value=body.value, index=body.index)
        vectors = msgspec.json.decode(answer, type=bytes)
    await ItemStore(request.app[CLIENT]).put([Put(namespace, body.key, body.value, ttl, vectors)])


@operation("GET", "/store/items", errors=(400,), tags=_TAGS, access=ITSELF)
async def get_item(request: web.Request, query: ItemQuery) -> StoredItem | None:
    """Read an item; `null` if there is none."""
    namespace = _checked(query.namespace.split("."))
    if query.key is None:
        raise BadRequest("Key is required")
    asked = await _allowed(request, "get", namespace, key=query.key)
    namespace, query.key = asked["namespace"], asked["key"]
    refresh = None if query.refresh_ttl is None else query.refresh_ttl.lower() == "true"
    (item,) = await ItemStore(request.app[CLIENT]).get([(namespace, query.key, _refreshes(request, refresh))])
    return StoredItem(**_fields(item)) if item else None


@operation("DELETE", "/store/items", tags=_TAGS, access=ITSELF)
async def delete_item(request: web.Request, body: ItemDelete) -> None:
    """Delete an item, if it is there."""
    asked = await _allowed(request, "delete", _checked(body.namespace), key=body.key)
    namespace, body.key = asked["namespace"], asked["key"]
    if namespace:  # no item is without one
        await ItemStore(request.app[CLIENT]).put([Put(namespace, body.key, None)])


@operation("POST", "/store/items/search", errors=(400, 503), tags=_TAGS, access=ITSELF)
async def search_items(request: web.Request, body: ItemSearch) -> FoundItems:
    """Find items: with a query by how near their meaning is, else by namespace and then oldest first."""
    check_operators(body.filter)
    if _asks_for_null(body.filter or {}):
        return FoundItems([])
    asked = await _allowed(
        request,
        "search",
        _checked(body.namespace_prefix or []),
        filter=body.filter,
        limit=body.limit or _SEARCH_LIMIT,
        offset=body.offset,
        query=body.query,
    )
    prefix, body.filter = asked["namespace"], asked["filter"]
    options: dict[str, Any] = {
        "matching": body.filter,
        "limit": body.limit or _SEARCH_LIMIT,
        "offset": body.offset,
        "refresh": _refreshes(request, body.refresh_ttl),
    }
    if body.query and request.app[SETTINGS].langgraph_store.index:
        answer = await request.app[QUERIES].ask("find_items", "", "", prefix=prefix, query=body.query, **options)
        near = msgspec.json.decode(answer, type=list[Found])
        return FoundItems([FoundItem(**_fields(item), score=item.score) for item in near])
    found = await ItemStore(request.app[CLIENT]).search(prefix, **options)
    return FoundItems([FoundItem(**_fields(item)) for item in found])


@operation("POST", "/store/namespaces", tags=_TAGS, scope="read", access=ITSELF)
async def list_namespaces(request: web.Request, body: NamespaceSearch) -> Namespaces:
    """List the namespaces that have items."""
    depth = None if body.max_depth is UNSET else body.max_depth
    suffix = _checked(body.suffix)
    asked = await _allowed(
        request,
        "list_namespaces",
        _checked(body.prefix),
        suffix=suffix,
        max_depth=depth,
        limit=body.limit,
        offset=body.offset,
    )
    conditions: list[Condition] = [("prefix", asked["namespace"]), ("suffix", suffix)]
    found = await ItemStore(request.app[CLIENT]).namespaces(
        conditions,
        max_depth=depth,
        limit=body.limit,
        offset=body.offset,
    )
    return Namespaces(found)


def _checked(labels: list[str]) -> Namespace:
    """Raises Invalid. The store itself takes dots; a client could not name such a namespace in a URL."""
    for label in labels:
        if not label or "." in label:
            raise Invalid(f"Namespace labels must be non-empty and without dots, not {label!r}")
    return tuple(labels)


def _refreshes(request: web.Request, wish: bool | None) -> bool:
    """Whether reading starts an item's time to live anew."""
    return request.app[SETTINGS].langgraph_store.ttl.refresh_on_read if wish is None else wish


def _asks_for_null(wanted: dict[str, Any]) -> bool:
    """Clients expect that null equals nothing, neither a null nor a field that is not there."""
    return any(
        value is None or (isinstance(value, dict) and _asks_for_null(value))
        for name, value in wanted.items()
        if not name.startswith("$")
    )


def _fields(item: Item) -> dict[str, Any]:
    return {
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": iso_of_microseconds(item.created),
        "updated_at": iso_of_microseconds(item.updated),
    }


OPERATIONS: list[Operation] = [
    put_item,
    get_item,
    delete_item,
    search_items,
    list_namespaces,
]
