"""Metadata that clients attach to threads and assistants: what may be stored of it."""

from typing import Any

import msgspec

from .errors import Invalid
from .run_request import RESERVED_METADATA, without


def accept_metadata(sent: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a client's metadata: without the names that the server sets, and without NUL.

    Raises Invalid for a `graph_id` that is not text: it names the graph of a thread.
    """
    kept = without(sent, RESERVED_METADATA)
    if not isinstance(kept.get("graph_id", ""), str):
        raise Invalid("metadata.graph_id must be a string")
    # Looking through the encoded form is much cheaper than walking every value; NUL is as good as never there.
    return _without_nul(kept) if b"\\u0000" in msgspec.json.encode(kept) else kept


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(part) for part in value]
    if isinstance(value, dict):
        return {key.replace("\0", "\ufffd"): _without_nul(part) for key, part in value.items()}
    return value
