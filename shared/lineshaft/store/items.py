"""Items of the long-term store: JSON objects under a namespace and a key, shared by all threads.

Layout: `redis/keys.py` (store_*), `lua/store_*.lua`. Graphs reach it through `lineshaft_worker.store`, clients by HTTP.
"""

import heapq
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

import msgspec

from lineshaft.errors import Invalid, TooLarge
from lineshaft.redis.client import Client

from .item_filter import check_operators, matches

Namespace = tuple[str, ...]
Condition = tuple[Literal["prefix", "suffix"], Namespace]

MAX_NAME = 4096  # bytes of a key, and of a namespace with a separator between its labels: it is part of a Redis key
MAX_VALUE = 10 * 1024 * 1024  # bytes of JSON: a script moves a value in one piece, and Redis waits for it
MAX_TTL = 52_560_000  # minutes, a hundred years: what is for ever has no ttl
_MAX_FOUND = 64 * 1024 * 1024  # bytes of JSON in one search: whoever asks has to hold it all
_PAGE = 500  # items or namespaces of one script call


class Item(msgspec.Struct, frozen=True):
    """One item; `value` is a JSON object, times are microseconds since the epoch."""

    namespace: Namespace
    key: str
    value: msgspec.Raw
    created: int
    updated: int
    expires: bool


class Found(Item, frozen=True):
    """An item that was found by meaning; without a score if it has no vectors."""

    score: float | None = None


class Put(msgspec.Struct, frozen=True):
    """What to store: JSON of an object, or None to delete the item. `ttl` is in minutes, None is for ever."""

    namespace: Namespace
    key: str
    value: bytes | msgspec.Raw | None
    ttl: float | None = None
    vectors: bytes = b""  # by which it is found by meaning (`vectors.py`)


class ItemStore:
    """The items in Redis. With a run's id and token, writes are refused (Fenced) once the run is another worker's."""

    def __init__(self, client: Client, run_id: str = "", token: str = "") -> None:
        self._client = client
        self._run_id = run_id
        self._token = token

    async def put(self, puts: Sequence[Put]) -> None:
        """Store and delete, all in one step. An item's creation time survives that it is overwritten.

        Raises Invalid, TooLarge; and without a run's token Unavailable, when Redis is nearly full.
        """
        flat: list[str | bytes | int] = []
        for put in puts:
            if not put.namespace:
                raise Invalid("Namespace cannot be empty")
            flat += (_join(put.namespace), _checked_key(put.key), _lifetime(put), bytes(put.value or b""), put.vectors)
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

        Without `matching` it reads `offset + limit` items, with it as many as it takes. Raises BadRequest, TooLarge.
        """
        check_operators(matching)
        found: list[Item] = []
        room = _MAX_FOUND
        if limit <= 0:
            return found
        skip = max(0, offset)
        async for item, _ in self._walk(prefix, _PAGE if matching else limit):
            if matching and not matches(msgspec.json.decode(item.value), matching):
                continue
            if skip:
                skip -= 1
                continue
            found.append(item)
            room -= len(bytes(item.value))
            if room < 0:
                raise _too_much()
            if len(found) >= limit:
                break
        if refresh:
            await self._refresh(found)
        return found

    async def search_near(
        self,
        prefix: Namespace,
        score: Callable[[bytes], float | None],
        *,
        matching: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh: bool = False,
    ) -> list[Found]:
        """As `search`, but best score first; items that have none come last. `score` is asked about an item's vectors.

        It reads all items there are, page by page: Redis only hands them out. Raises BadRequest, TooLarge.
        """
        check_operators(matching)
        if limit <= 0:
            return []
        skip = max(0, offset)
        best: list[tuple[float, int, Found]] = []  # a heap: the worst of them is the first
        others: list[Found] = []
        room, count = _MAX_FOUND, 0
        async for item, vectors in self._walk(prefix, _PAGE, with_vectors=True):
            if matching and not matches(msgspec.json.decode(item.value), matching):
                continue
            found = Found(**{name: getattr(item, name) for name in item.__struct_fields__}, score=score(vectors))
            room -= len(bytes(item.value))
            if found.score is None:
                others.append(found)
            else:
                count += 1
                heapq.heappush(best, (found.score, -count, found))  # of equal ones the first is the better
            if len(best) + len(others) > skip + limit:
                room += len(bytes((others.pop() if others else heapq.heappop(best)[2]).value))
            if room < 0:
                raise _too_much()
        ranked = [found for _, _, found in sorted(best, reverse=True)] + others
        page = ranked[skip:]
        if refresh:
            await self._refresh(page)
        return page

    async def _refresh(self, items: Sequence[Item]) -> None:
        if expiring := [(item.namespace, item.key, True) for item in items if item.expires]:
            await self.get(expiring)

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

    async def _walk(
        self, prefix: Namespace, page: int, *, with_vectors: bool = False
    ) -> AsyncIterator[tuple[Item, bytes]]:
        joined, namespace, position = _join(prefix), b"", 0
        while True:
            following, position, flat = await self._client.script(
                "store_search",
                prefix=joined,
                namespace=namespace,
                position=position,
                limit=min(page, _PAGE),
                with_vectors=with_vectors,
            )
            for i in range(0, len(flat), 4):
                yield _item(tuple(flat[i].decode().split("\0")), flat[i + 1].decode(), flat[i + 2]), flat[i + 3]
            if following is None:
                return
            namespace = following


def _too_much() -> TooLarge:
    return TooLarge(f"The items found are over {_MAX_FOUND} bytes: ask for fewer at a time with `limit`")


def _join(namespace: Namespace) -> str:
    """How a namespace is written in keys. Raises Invalid."""
    for label in namespace:
        if not label or "\0" in label or "\1" in label:
            raise Invalid(f"Namespace labels must be non-empty and without control characters, not {label!r}")
    joined = "\0".join(namespace)
    if len(joined.encode()) > MAX_NAME:
        raise Invalid(f"The namespace is too long (limit: {MAX_NAME} bytes)")
    return joined


def _checked_key(key: str) -> str:
    if len(key.encode()) > MAX_NAME:
        raise Invalid(f"The key is too long (limit: {MAX_NAME} bytes)")
    return key


def _lifetime(put: Put) -> str | int:
    """How the script is told what becomes of the item: `delete`, '' for ever, or ms."""
    if put.value is None:
        return "delete"
    if len(bytes(put.value)) > MAX_VALUE:
        raise TooLarge(f"The value is too large (limit: {MAX_VALUE} bytes of JSON)")
    if put.ttl is None:
        return ""
    if put.ttl > MAX_TTL:
        raise Invalid(f"The ttl is too long (limit: {MAX_TTL} minutes); without one an item is kept for ever")
    return round(put.ttl * 60_000) if put.ttl > 0 else 0  # far below 0 it would come to minus infinity


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
