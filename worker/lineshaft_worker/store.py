"""The long-term store as graphs see it: langgraph's interface over `lineshaft.store.items`."""

import copy
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from langgraph.store.base import (
    BaseStore,
    GetOp,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from langgraph.store.base import Item as StoreItem
from typing_extensions import override

from lineshaft.redis.client import Client
from lineshaft.store.items import Item, ItemStore, Put

from .bridge import Bridge
from .index import Index

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RedisStore(BaseStore):
    """For one event loop; synchronous calls come from nodes' threads and work through that loop.

    Without an index `query` and `index` are ignored, as langgraph's own stores do.
    """

    supports_ttl = True

    def __init__(self, client: Client, index: Index | None = None) -> None:
        self._client = client
        self._index = index
        self._items = ItemStore(client)
        self._bridge = Bridge()
        ttl = client.settings.langgraph_store.ttl
        self.ttl_config = {"default_ttl": ttl.default_ttl, "refresh_on_read": ttl.refresh_on_read}

    def for_run(self, run_id: str, token: str) -> "RedisStore":
        """A copy whose writes are refused (Fenced) once `token` is no longer the run's."""
        clone = copy.copy(self)
        clone._items = ItemStore(self._client, run_id, token)  # noqa: SLF001 - its own class
        return clone

    @override
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self._bridge.call(self.abatch, ops)

    @override
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """One round trip for all reads of items, one for all writes; reads see the items as they were before."""
        ops = list(ops)
        results: list[Result] = [None] * len(ops)
        gets = {i: op for i, op in enumerate(ops) if isinstance(op, GetOp)}
        items = await self._items.get([(op.namespace, op.key, op.refresh_ttl) for op in gets.values()])
        for i, item in zip(gets, items, strict=True):
            results[i] = StoreItem(**_fields(item)) if item else None
        puts: dict[tuple[tuple[str, ...], str], PutOp] = {}  # of several for one item the last counts
        for i, op in enumerate(ops):
            if isinstance(op, SearchOp):
                results[i] = [
                    SearchItem(**_fields(item), score=getattr(item, "score", None)) for item in await self.find(op)
                ]
            elif isinstance(op, ListNamespacesOp):
                conditions = [(condition.match_type, condition.path) for condition in op.match_conditions or ()]
                results[i] = await self._items.namespaces(
                    conditions, max_depth=op.max_depth, limit=op.limit, offset=op.offset
                )
            elif isinstance(op, PutOp):
                puts[op.namespace, op.key] = op
        await self._put(list(puts.values()))
        return results

    async def find(self, op: SearchOp) -> Sequence[Item]:
        """What a search finds; with a query and an index each has a score, if it has vectors."""
        options: dict[str, Any] = {
            "matching": op.filter, "limit": op.limit, "offset": op.offset, "refresh": op.refresh_ttl,
        }  # fmt: skip
        if not op.query or self._index is None:
            return await self._items.search(op.namespace_prefix, **options)
        return await self._items.search_near(op.namespace_prefix, await self._index.scorer(op.query), **options)

    async def _put(self, ops: list[PutOp]) -> None:
        puts = [Put(op.namespace, op.key, _json(op.value), op.ttl) for op in ops]
        if self._index is not None:
            wanted = [(i, op.index) for i, op in enumerate(ops) if op.value is not None and op.index is not False]
            # As JSON has them: paths into a model would find nothing.
            values = [(msgspec.json.decode(puts[i].value or b""), paths) for i, paths in wanted]
            for (i, _), vectors in zip(wanted, await self._index.vectors_of(values), strict=True):
                puts[i] = msgspec.structs.replace(puts[i], vectors=vectors)
        await self._items.put(puts)


def _fields(item: Item) -> dict[str, Any]:
    return {
        "namespace": item.namespace,
        "key": item.key,
        "value": msgspec.json.decode(item.value),
        "created_at": _EPOCH + timedelta(microseconds=item.created),
        "updated_at": _EPOCH + timedelta(microseconds=item.updated),
    }


def _json(value: Any) -> bytes | None:
    return None if value is None else msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """Pydantic models, which langgraph's users put into items as they are. Raises TypeError for anything else."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"An item's value must be JSON; {type(value).__name__} is not")
