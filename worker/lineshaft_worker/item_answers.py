"""Answers gateways that want to know what items of the store mean: only a worker has the user's embeddings."""

from collections.abc import Awaitable
from typing import TypeVar

import msgspec
from langgraph.store.base import SearchOp
from msgspec import Raw

from lineshaft.assistants.queries import StateQuery
from lineshaft.errors import LineshaftError, Unavailable
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

from .index import Index
from .store import RedisStore

T = TypeVar("T")
logger = log.get("control")


class ItemAnswers:
    """The part of the control lane that concerns the store."""

    def __init__(self, client: Client, index: Index | None) -> None:
        self._index = index
        self._store = RedisStore(client, index)

    async def embed(self, query: StateQuery) -> Raw:
        """The vectors of a value that is to be stored, packed (base64). Nothing is stored here."""
        args = query.args
        (vectors,) = await _attempt(self._present().vectors_of([(args["value"], args["index"])]))
        return Raw(msgspec.json.encode(vectors))

    async def find(self, query: StateQuery) -> Raw:
        """Items by how near their meaning is to a text."""
        args = query.args
        self._present()
        op = SearchOp(
            tuple(args["prefix"]),
            filter=args["matching"],
            limit=args["limit"],
            offset=args["offset"],
            query=args["query"],
            refresh_ttl=args["refresh"],
        )
        return Raw(msgspec.json.encode(await _attempt(self._store.find(op))))

    def _present(self) -> Index:
        if self._index is None:
            raise Unavailable(
                "This worker has no store.index, other than the gateway: start both with one langgraph.json"
            )
        return self._index


async def _attempt(call: Awaitable[T]) -> T:
    """Raises Unavailable for whatever the user's embeddings raise: most often their provider is away."""
    try:
        return await call
    except LineshaftError:
        raise
    except Exception as error:
        logger.exception("embedding failed")
        raise Unavailable(f"The text could not be embedded: {type(error).__name__}: {error}", retry_after=5) from None
