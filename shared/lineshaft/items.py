"""Items of the long-term store: JSON objects under a namespace and a key, shared by all threads.

Layout: `keys.py` (store_*), `lua/store_*.lua`. Graphs reach it through `lineshaft_worker.store`, clients over HTTP.
"""

import operator
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import msgspec

from .errors import BadRequest, Invalid
from .redis import Client

Namespace = tuple[str, ...]
Condition = tuple[Literal["prefix", "suffix"], Namespace]

_PAGE = 500  # items or namespaces of one script call
_ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_OPERATORS = ("$eq", "$ne", *_ORDER)


class Item(msgspec.Struct, frozen=True):
    """One item; `value` is a JSON object, times are microseconds since the epoch."""

    namespace: Namespace
    key: str
    value: msgspec.Raw
    created: int
    updated: int
    expires: bool


class Put(msgspec.Struct, frozen=True):
    """What to store: JSON of an object, or None to delete the item. `ttl` is in minutes, None is for ever."""

    namespace: Namespace
    key: str
    value: bytes | msgspec.Raw | None
    ttl: float | None = None


class ItemStore:
    """The items in Redis. With a run's id and token, writes are refused (Fenced) once the run is another worker's."""

    def __init__(self, client: Client, run_id: str = "", token: str = "") -> None:
        self._client = client
        self._run_id = run_id
        self._token = token

    async def put(self, puts: Sequence[Put]) -> None:
        """Store and delete, all in one step. An item's creation time survives that it is overwritten."""
        flat: list[str | bytes | int] = []
        for put in puts:
            if not put.namespace:
                raise Invalid("Namespace cannot be empty")
            ttl: str | int = "delete"
            if put.value is not None:
                ttl = "" if put.ttl is None else max(0, round(put.ttl * 60_000))
            flat += (_join(put.namespace), put.key, ttl, bytes(put.value or b""))
        if flat:
            await self._client.script("store_put", run_id=self._run_id, token=self._token, puts=flat)

    async def get(self, wanted: Sequence[tuple[Namespace, str, bool]]) -> list[Item | None]:
        """Items by namespace and key; the flag says whether reading one starts its time to live anew."""
        if not wanted:
            return []
        flat = [part for namespace, key, refresh in wanted for part in (_join(namespace), key, int(refresh))]
        documents = await self._client.script("store_get", wanted=flat)
        return [
            _item(namespace, key, document) if document else None
            for (namespace, key, _), document in zip(wanted, documents, strict=True)
        ]

    async def search(
        self,
        prefix: Namespace,
        *,
        matching: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh: bool = False,
    ) -> list[Item]:
        """Items at and below a namespace whose value has all of `matching`, by namespace, oldest first.

        Without `matching` it reads `offset + limit` items, with it as many as it takes. Raises BadRequest.
        """
        check_operators(matching)
        found: list[Item] = []
        if limit <= 0:
            return found
        skip = max(0, offset)
        async for item in self._walk(prefix, _PAGE if matching else limit):
            if matching and not matches(msgspec.json.decode(item.value), matching):
                continue
            if skip:
                skip -= 1
                continue
            found.append(item)
            if len(found) >= limit:
                break
        if refresh and (expiring := [(item.namespace, item.key, True) for item in found if item.expires]):
            await self.get(expiring)
        return found

    async def namespaces(
        self,
        conditions: Sequence[Condition] = (),
        *,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Namespace]:
        """Namespaces that meet all conditions ("*" matches any label), sorted; cut to `max_depth`, each once."""
        found: list[Namespace] = []
        end = max(0, offset) + max(0, limit)
        root = _fixed_root(conditions)
        after = ""
        while len(found) < end:
            page = await self._client.script("store_namespaces", prefix=root, after=after, limit=_PAGE)
            for joined in page:
                namespace = tuple(joined.decode().split("\0"))
                if all(_meets(namespace, condition) for condition in conditions):
                    cut = namespace[:max_depth]
                    # They come sorted, so equal ones stand together.
                    if not found or found[-1] != cut:
                        found.append(cut)
            if len(page) < _PAGE:
                break
            after = page[-1]
        return found[max(0, offset) : end]

    async def _walk(self, prefix: Namespace, page: int) -> AsyncIterator[Item]:
        joined, namespace, position = _join(prefix), b"", 0
        while True:
            following, position, flat = await self._client.script(
                "store_search", prefix=joined, namespace=namespace, position=position, limit=min(page, _PAGE)
            )
            for i in range(0, len(flat), 3):
                yield _item(tuple(flat[i].decode().split("\0")), flat[i + 1].decode(), flat[i + 2])
            if following is None:
                return
            namespace = following


def check_operators(matching: dict[str, Any] | None) -> None:
    """Raises BadRequest for an operator that does not exist, also where no item would ever meet it."""
    names = list(matching or ())
    if any(name.startswith("$") for name in names) and (unknown := [name for name in names if name not in _OPERATORS]):
        raise BadRequest(f"Unsupported operator: {unknown[0]}")
    for wanted in (matching or {}).values():
        if isinstance(wanted, dict):
            check_operators(wanted)


def matches(value: Any, matching: dict[str, Any]) -> bool:
    """Whether an object has all that `matching` names: equal, by operators, and nested objects by containment."""
    return isinstance(value, dict) and all(_compare(value.get(key), wanted) for key, wanted in matching.items())


def _compare(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        if any(key.startswith("$") for key in wanted):
            return all(_operate(value, name, operand) for name, operand in wanted.items())
        return matches(value, wanted)
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_compare(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _operate(value: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return bool(value == operand)
    if name == "$ne":
        return bool(value != operand)
    try:
        left, right = float(value), float(operand)
    except (TypeError, ValueError):
        return False  # an item without the field, or with something that has no order
    return bool(_ORDER[name](left, right))


def _join(namespace: Namespace) -> str:
    """How a namespace is written in keys. Raises Invalid."""
    for label in namespace:
        if not label or "\0" in label or "\1" in label:
            raise Invalid(f"Namespace labels must be non-empty and without control characters, not {label!r}")
    return "\0".join(namespace)


def _item(namespace: Namespace, key: str, document: bytes) -> Item:
    created, updated, ttl, value = document.split(b"\0", 3)
    return Item(namespace, key, msgspec.Raw(value), int(created), int(updated), bool(ttl))


def _meets(namespace: Namespace, condition: Condition) -> bool:
    kind, path = condition
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)] if kind == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for label, wanted in zip(part, path, strict=True))


def _fixed_root(conditions: Sequence[Condition]) -> str:
    """The labels that every namespace in question begins with, so that the walk can start there."""
    for kind, path in conditions:
        if kind == "prefix":
            return _join(path[: path.index("*")] if "*" in path else path)
    return ""
