"""Assistants: a graph with a name and a configuration, in versions; and the store that keeps them."""

import os
import uuid
from typing import Any, Literal

import msgspec
from msgspec import Struct

from .clock import iso
from .errors import BadRequest, Invalid, NotFound
from .ids import system_assistant
from .metadata import accept_metadata
from .redis import Client
from .run_request import RESERVED_CONFIGURABLE, RunConfig, without
from .search import Page, contains, page

SortBy = Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"]
# Documents read in one round trip; each has about a kilobyte.
_READ_AT_ONCE = 500
_FIELDS = ["doc", "version", "created", "updated"]


class AssistantDoc(Struct, kw_only=True):
    """One version of an assistant as it is stored (field `doc`), and copied into each run that is made of it."""

    graph_id: str
    name: str = "Untitled"
    description: str | None = None
    metadata: dict[str, Any] = {}
    config: dict[str, Any] = {}
    context: dict[str, Any] = {}


class Assistant(Struct, kw_only=True):
    """A graph with a name and a configuration that runs can refer to."""

    assistant_id: str
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    name: str
    created_at: str
    updated_at: str
    version: int
    description: str | None


class AssistantFilter(Struct, kw_only=True):
    """Which assistants: all conditions must hold."""

    metadata: dict[str, Any] = {}
    graph_id: str | None = None
    name: str | None = None  # a part of the name, in any case


class AssistantStore:
    """Assistants in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ensure_system(self, graph_id: str, name: str, description: str | None) -> None:
        """Make sure that a graph has its own assistant, and that it has this name and description.

        An existing one is kept; a name or description that differs makes a new version of it.
        """
        assistant_id = system_assistant(graph_id)
        doc = AssistantDoc(
            graph_id=graph_id, name=name, description=description, metadata={"created_by": "system"}
        )  # fmt: skip
        if await self._create(assistant_id, doc, "do_nothing"):
            return
        while (found := await self._read([assistant_id]))[0] is not None:
            current, version = found[0].doc, found[0].version
            if (current.name, current.description) == (name, description):
                return
            changed = msgspec.structs.replace(current, name=name, description=description)
            if await self._client.script(
                "assistant_update",
                assistant_id=assistant_id,
                expected_version=version,
                graph_id=changed.graph_id,
                doc=msgspec.json.encode(changed),
            ):
                return  # else another worker was faster; see what it made

    async def create(
        self, doc: AssistantDoc, assistant_id: str | None = None, *, if_exists: Literal["raise", "do_nothing"] = "raise"
    ) -> Assistant:
        """A new assistant, or with `do_nothing` the one that has this id. Raises Conflict, BadRequest, Invalid."""
        assistant_id = assistant_id or str(uuid.uuid4())
        await self._create(assistant_id, _accept(doc), if_exists)
        return await self.get(assistant_id)

    async def get(self, assistant_id: str) -> Assistant:
        """Raises NotFound."""
        (stored,) = await self._read([assistant_id])
        if stored is None:
            raise NotFound(f"Assistant {assistant_id} not found")
        return stored.shown()

    async def search(
        self,
        where: AssistantFilter,
        *,
        limit: int = 10,
        offset: int = 0,
        sort_by: SortBy = "created_at",
        descending: bool = True,
    ) -> Page[Assistant]:
        """A page of the assistants that match. They are few, so they are read and compared; no index is kept."""
        found = [stored for stored in await self._all() if _matches(stored.doc, where)]
        found.sort(key=_SORT_KEYS[sort_by], reverse=descending)
        return page([stored.shown() for stored in found[offset : offset + limit + 1]], limit, offset)

    async def count(self, where: AssistantFilter) -> int:
        """How many assistants match."""
        return sum(_matches(stored.doc, where) for stored in await self._all())

    async def _create(self, assistant_id: str, doc: AssistantDoc, if_exists: str) -> int:
        created: int = await self._client.script(
            "assistant_create",
            assistant_id=assistant_id,
            graph_id=doc.graph_id,
            doc=msgspec.json.encode(doc),
            if_exists=if_exists,
            nonce=os.urandom(6).hex(),
        )
        return created

    async def _all(self) -> list["_Stored"]:
        redis, keys = self._client.redis, self._client.keys
        ids = [i.decode() for i in await self._client.patiently(lambda: redis.zrange(keys.assistants(), 0, -1), "ids")]
        found: list[_Stored] = []
        for start in range(0, len(ids), _READ_AT_ONCE):
            found += [stored for stored in await self._read(ids[start : start + _READ_AT_ONCE]) if stored is not None]
        return found

    async def _read(self, ids: list[str]) -> list["_Stored | None"]:
        async def read() -> list[list[bytes | None]]:
            pipe = self._client.redis.pipeline(transaction=False)
            for assistant_id in ids:
                pipe.hmget(self._client.keys.assistant(assistant_id), _FIELDS)
            answers: list[list[bytes | None]] = await pipe.execute()
            return answers

        answers = await self._client.patiently(read, "assistants")
        return [_stored(assistant_id, fields) for assistant_id, fields in zip(ids, answers, strict=True)]


class _Stored(Struct):
    assistant_id: str
    doc: AssistantDoc
    version: int
    created: int
    updated: int

    def shown(self) -> Assistant:
        doc = self.doc
        return Assistant(
            assistant_id=self.assistant_id,
            graph_id=doc.graph_id,
            config=doc.config,
            context=doc.context,
            metadata=doc.metadata,
            name=doc.name,
            created_at=iso(self.created),
            updated_at=iso(self.updated),
            version=self.version,
            description=doc.description,
        )


_SORT_KEYS: dict[str, Any] = {
    "assistant_id": lambda stored: stored.assistant_id,
    "created_at": lambda stored: stored.created,
    "updated_at": lambda stored: stored.updated,
    "name": lambda stored: stored.doc.name.casefold(),
    "graph_id": lambda stored: stored.doc.graph_id.casefold(),
}


def _stored(assistant_id: str, fields: list[bytes | None]) -> _Stored | None:
    doc, version, created, updated = fields
    if doc is None:
        return None
    decoded = msgspec.json.decode(doc, type=AssistantDoc)
    return _Stored(assistant_id, decoded, int(version or 1), int(created or 0), int(updated or 0))


def _matches(doc: AssistantDoc, where: AssistantFilter) -> bool:
    if where.graph_id is not None and doc.graph_id != where.graph_id:
        return False
    if where.name is not None and where.name.casefold() not in doc.name.casefold():
        return False
    return contains(doc.metadata, where.metadata)


def _accept(doc: AssistantDoc) -> AssistantDoc:
    """The version that is stored of what a client sent: reserved names dropped, config and context in step."""
    try:
        msgspec.convert(doc.config, RunConfig)  # the types of the parts we know; others are kept as they are
    except msgspec.ValidationError as error:
        raise Invalid(f"config: {error}") from None
    configurable = without(doc.config.get("configurable", {}), RESERVED_CONFIGURABLE)
    context = without(doc.context, RESERVED_CONFIGURABLE)
    for name in (*configurable, *context, *doc.config):
        if "\0" in name:
            raise Invalid("A key of config or context contains NUL")
    if configurable and context:
        raise BadRequest("Cannot specify both configurable and context. Use context.")
    config = {**doc.config, **({"configurable": configurable} if "configurable" in doc.config else {})}
    if context:
        config["configurable"] = context
    if isinstance(config.get("metadata"), dict):
        config["metadata"] = accept_metadata(config["metadata"])
    return msgspec.structs.replace(
        doc,
        name=doc.name or "Untitled",
        metadata=accept_metadata(doc.metadata),
        config=config,
        context=context or configurable,
    )
