"""Assistants: a graph with a name and a configuration, in versions; and the store that keeps them."""

import os
import uuid
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.ids import system_assistant, uuid7
from lineshaft.queues.choice import accept_choice
from lineshaft.redis.client import Client
from lineshaft.search import Page, Restricted, contains, page

from .document import AssistantChanges, AssistantDoc, accept_doc, change_doc, choice_fields

SortBy = Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"]
# Documents read in one round trip; each has about a kilobyte.
_READ_AT_ONCE = 500
_CRONS_AT_ONCE = 100  # deleted in one script call, which takes about a millisecond
_FIELDS = ["doc", "version", "created", "updated"]


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
        # Looked for first: a worker that starts at a full Redis, which takes no new assistant, must not wait for that.
        if (await self._read([assistant_id]))[0] is None and await self._create(assistant_id, doc, "do_nothing"):
            return
        while (found := await self._read([assistant_id]))[0] is not None:
            current = found[0].doc
            if (current.name, current.description) == (name, description):
                return
            changed = msgspec.structs.replace(current, name=name, description=description)
            if await self._update(found[0], changed):
                return  # else another worker was faster; see what it made

    async def create(
        self, doc: AssistantDoc, assistant_id: str | None = None, *, if_exists: Literal["raise", "do_nothing"] = "raise"
    ) -> Assistant:
        """A new assistant, or with `do_nothing` the one that has this id.

        Raises Conflict, BadRequest, Invalid, TooLarge.
        """
        assistant_id = assistant_id or str(uuid.uuid4())
        await self._create(assistant_id, self._accepted(accept_doc(doc)), if_exists)
        return await self.get(assistant_id)

    async def get(self, assistant_id: str) -> Assistant:
        """Raises NotFound."""
        return (await self._stored(assistant_id)).shown()

    async def change(self, assistant_id: str, changes: AssistantChanges) -> Assistant:
        """A new version, also if nothing differs. Raises NotFound, BadRequest, Invalid, TooLarge."""
        while True:
            stored = await self._stored(assistant_id)
            if await self._update(stored, self._accepted(change_doc(stored.doc, changes))):
                return await self.get(assistant_id)

    async def replace(self, assistant_id: str, doc: AssistantDoc) -> Assistant:
        """A new version that has nothing of the one before. Raises NotFound, BadRequest, Invalid, TooLarge."""
        if doc.context == doc.config.get("configurable"):
            # As an assistant is shown: what was read can be put again.
            doc = msgspec.structs.replace(doc, context={})
        accepted = self._accepted(accept_doc(doc))
        while not await self._update(await self._stored(assistant_id), accepted):
            pass
        return await self.get(assistant_id)

    async def delete(self, assistant_id: str) -> None:
        """Delete an assistant with its versions and crons; its runs and threads stay. Raises NotFound."""
        args = {"assistant_id": assistant_id, "limit": _CRONS_AT_ONCE, "request": uuid7()}
        while await self._client.script("assistant_delete", **args):
            pass

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

    def _accepted(self, doc: AssistantDoc) -> AssistantDoc:
        """Raises Invalid for a queue that there is not."""
        accept_choice(doc.config.get("configurable") or {}, self._client.settings.lineshaft_executor)
        return doc

    async def _create(self, assistant_id: str, doc: AssistantDoc, if_exists: str) -> int:
        created: int = await self._client.script(
            "assistant_create",
            assistant_id=assistant_id,
            graph_id=doc.graph_id,
            doc=msgspec.json.encode(doc),
            **choice_fields(doc),
            if_exists=if_exists,
            nonce=os.urandom(6).hex(),
        )
        return created

    async def _update(self, current: "_Stored", doc: AssistantDoc) -> int:
        """The number of the new version; 0 if `current` is not the current one any more."""
        version: int = await self._client.script(
            "assistant_update",
            assistant_id=current.assistant_id,
            expected_version=current.version,
            graph_id=doc.graph_id,
            doc=msgspec.json.encode(doc),
            **choice_fields(doc),
            request=uuid7(),
        )
        return version

    async def _stored(self, assistant_id: str) -> "_Stored":
        (stored,) = await self._read([assistant_id])
        if stored is None:
            raise NotFound(f"Assistant {assistant_id} not found")
        return stored

    async def _all(self) -> list["_Stored"]:
        ids = [i.decode() for i in await self._client.command("ZRANGE", self._client.keys.assistants(), 0, -1)]
        found: list[_Stored] = []
        for start in range(0, len(ids), _READ_AT_ONCE):
            found += [stored for stored in await self._read(ids[start : start + _READ_AT_ONCE]) if stored is not None]
        return found

    async def _read(self, ids: list[str]) -> list["_Stored | None"]:
        keys = self._client.keys
        answers = await self._client.commands(*(("HMGET", keys.assistant(i), *_FIELDS) for i in ids))
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
    # The graph, for conditions that limit a caller to some.
    return contains(
        {**doc.metadata, "graph_id": doc.graph_id} if isinstance(where.metadata, Restricted) else doc.metadata,
        where.metadata,
    )
