"""Metadata that clients attach to threads and assistants: what may be stored of it."""

from typing import Any

import msgspec

from . import nul
from .errors import Invalid, TooLarge
from .runs.request import RESERVED_METADATA, without

# Searches read the metadata of a thousand records at a time, to compare what no index knows. Clients of the official
# server may have 150 kB of it.
MAX_BYTES = 160 * 1024
MAX_DEPTH = 20  # levels; nobody filters by more, and each is a call in the comparison


def accept_metadata(sent: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a client's metadata: without the names that the server sets, and without NUL.

    Raises TooLarge, and Invalid if it is nested too deeply or has a `graph_id` that is not text: it names the graph of
    a thread.
    """
    kept = without(sent, RESERVED_METADATA)
    if not isinstance(kept.get("graph_id", ""), str):
        raise Invalid("metadata.graph_id must be a string")
    # Looking through the encoded form is much cheaper than walking every value.
    encoded = msgspec.json.encode(kept)
    if len(encoded) > MAX_BYTES:
        raise TooLarge(f"metadata has {len(encoded)} bytes as JSON (limit: {MAX_BYTES})")
    if encoded.count(b"{") + encoded.count(b"[") > MAX_DEPTH and _depth(kept) > MAX_DEPTH:
        raise Invalid(f"metadata is nested too deeply (limit: {MAX_DEPTH} levels)")
    return nul.replaced(kept) if b"\\u0000" in encoded else kept  # NUL is as good as never there


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
