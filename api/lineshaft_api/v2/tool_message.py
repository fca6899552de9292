"""What a tool has returned, as a message: so clients show it among the others."""

from collections.abc import Iterator
from typing import Any

import msgspec

from .part import Part


def tool_message(tool_call_id: str, output: Any) -> Iterator[Part]:
    """The parts of the message, on a namespace of its own. `output` is a tool message, or what the tool returned."""
    content = output.get("content") if isinstance(output, dict) and output.get("type") == "tool" else output
    text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
    for data in (
        {"event": "message-start", "role": "tool", "id": f"tool-{tool_call_id}"},
        {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}},
        {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": text}},
        {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": text}},
        {"event": "message-finish"},
    ):
        yield Part("messages", [f"tools:{tool_call_id}"], msgspec.json.encode(data))
