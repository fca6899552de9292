"""The versions of an assistant: every one that was ever current, each unchangeable."""

from typing import Any

import msgspec
from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.search import contains

from .document import AssistantDoc, choice_fields

# Versions read in one round trip; each has about a kilobyte.
_READ_AT_ONCE = 500


class AssistantVersion(Struct, kw_only=True):
    """One version of an assistant."""

    assistant_id: str
    version: int
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    created_at: str  # of the version
    name: str
    description: str | None


class AssistantVersions:
    """Versions of assistants in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(
        self, assistant_id: str, metadata: dict[str, Any], *, limit: int, offset: int
    ) -> list[AssistantVersion]:
        """The versions whose metadata contain this, newest first.

        Raises NotFound for an unknown assistant and, as clients know it, where no version is left to show.
        """
        key = self._client.keys.assistant_versions(assistant_id)
        numbers = sorted(map(int, await self._client.command("HKEYS", key)), reverse=True)
        if not metadata:
            numbers, offset = numbers[offset : offset + limit], 0
        found: list[AssistantVersion] = []
        for start in range(0, len(numbers), _READ_AT_ONCE):
            part = numbers[start : start + _READ_AT_ONCE]
            values = await self._client.command("HMGET", key, *part)
            rows = [_shown(assistant_id, *pair) for pair in zip(part, values, strict=True) if pair[1]]
            found += [row for row in rows if contains(row.metadata, metadata)]
            if len(found) >= offset + limit:
                break
        rows = found[offset : offset + limit]
        if not rows:
            raise NotFound(f"Assistant {assistant_id} has no such versions")
        return rows

    async def restore(self, assistant_id: str, version: int) -> None:
        """Make an older version the current one; it keeps its number. Raises NotFound."""
        key = self._client.keys.assistant_versions(assistant_id)
        while True:
            stored = await self._client.command("HGET", key, version)
            if stored is None:
                raise NotFound(f"Version {version} of assistant {assistant_id} not found")
            doc = _doc(stored)
            # Else the assistant was deleted and made anew meanwhile: its version of this number is another one.
            if await self._client.script(
                "assistant_restore",
                assistant_id=assistant_id,
                version=version,
                stored=stored,
                graph_id=doc.graph_id,
                **choice_fields(doc),
            ):
                return


def _shown(assistant_id: str, version: int, stored: bytes) -> AssistantVersion:
    created = int(stored.partition(b" ")[0])
    return AssistantVersion(
        assistant_id=assistant_id, version=version, created_at=iso(created), **msgspec.structs.asdict(_doc(stored))
    )


def _doc(stored: bytes) -> AssistantDoc:
    return msgspec.json.decode(stored.partition(b" ")[2], type=AssistantDoc)
