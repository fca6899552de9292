"""Identifiers: UUIDv7 for what time orders, and the canonical form of ids that clients send."""

import hashlib
import os
import time
import uuid

from .errors import Invalid

# The namespace in which clients expect a graph's own assistant id (observed on the reference server; not an RFC one).
_SYSTEM_ASSISTANTS = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    return _uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def derived_uuid7(milliseconds: int, source: str) -> str:
    """The same UUIDv7 for the same time and source: what is made of something once however often that is asked for."""
    return _uuid7(milliseconds, hashlib.sha256(source.encode()).digest()[:10])


def _uuid7(milliseconds: int, rest: bytes) -> str:
    value = milliseconds << 80 | int.from_bytes(rest)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def canonical(text: str, what: str) -> str:
    """The lower-case hyphenated form of any spelling of a UUID. Raises Invalid: `Invalid thread ID: must be a UUID`."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Invalid(f"Invalid {what} ID: must be a UUID") from None


def system_assistant(graph_id: str) -> str:
    """The id of the assistant that the server makes for a graph."""
    return str(uuid.uuid5(_SYSTEM_ASSISTANTS, graph_id))


def nested_thread(thread_id: str, assistant_id: str) -> str:
    """The thread on which runs of an assistant work that are asked for from within a run of `thread_id`.

    Always the same, so that the assistant remembers what it did for that thread.
    """
    return str(uuid.uuid5(uuid.UUID(thread_id), assistant_id))
