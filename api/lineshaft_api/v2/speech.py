"""Messages of ordinary runs, which stream chunks, as the content blocks of protocol v2."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from .part import Part
from .tool_message import tool_message


class _Block(Struct):
    index: int
    kind: str  # text, tool_call
    text: str = ""  # so far: of the text, or of the arguments
    id: str | None = None  # of a tool call, as `name`
    name: str | None = None

    def begun(self) -> dict[str, Any]:
        """As it begins."""
        if self.kind == "text":
            return {"type": "text", "text": ""}
        return {"type": "tool_call_chunk", "id": self.id, "name": self.name, "args": "", "index": self.index}

    def finished(self) -> dict[str, Any]:
        """As a whole."""
        if self.kind == "text":
            return {"type": "text", "text": self.text}
        try:
            args = msgspec.json.decode(self.text or "{}", type=dict[str, Any])
        except msgspec.DecodeError as error:
            wrong = {"args": self.text, "error": str(error)}
            return {"type": "invalid_tool_call", "id": self.id, "name": self.name, **wrong}
        return {"type": "tool_call", "id": self.id, "name": self.name, "args": args}


class _Message:
    """One message under way. Its parts name it: several may be under way."""

    def __init__(self, namespace: list[str], ident: str) -> None:
        self._namespace = namespace
        self._ident = ident
        self._blocks: dict[Any, _Block] = {}

    def start(self) -> Part:
        return self._part(event="message-start", role="ai", id=self._ident)

    def add(self, message: dict[str, Any]) -> Iterator[Part]:
        """A further piece."""
        yield from self._grow("text", "text", _text(message.get("content")))
        for chunk in message.get("tool_call_chunks") or ():
            key = chunk.get("index") if chunk.get("index") is not None else chunk.get("id")
            yield from self._grow(("call", key), "tool_call", chunk.get("args") or "", chunk)

    def show(self, message: dict[str, Any]) -> Iterator[Part]:
        """All of it so far."""
        before = self._blocks["text"].text if "text" in self._blocks else ""
        text = _text(message.get("content"))
        yield from self._grow("text", "text", text[len(before) :] if text.startswith(before) else "")
        for call in message.get("tool_calls") or ():
            # Its arguments are those that can be read so far: the last ones are whole.
            args = msgspec.json.encode(call.get("args") or {}).decode()
            key = ("call", call.get("id"))
            yield from self._grow(key, "tool_call", "", call)
            self._blocks[key].text = args

    def finish(self) -> Iterator[Part]:
        for block in self._blocks.values():
            yield self._part(event="content-block-finish", index=block.index, content=block.finished())
        yield self._part(event="message-finish")

    def _grow(self, key: Any, kind: str, text: str, call: dict[str, Any] | None = None) -> Iterator[Part]:
        if key not in self._blocks:
            if not text and call is None:
                return
            block = _Block(len(self._blocks), kind, id=(call or {}).get("id"), name=(call or {}).get("name"))
            self._blocks[key] = block
            yield self._part(event="content-block-start", index=block.index, content=block.begun())
        if text:
            block = self._blocks[key]
            block.text += text
            delta = (
                {"type": "text-delta", "text": text} if kind == "text" else {"type": "tool-call-delta", "args": text}
            )
            yield self._part(event="content-block-delta", index=block.index, delta=delta)

    def _part(self, **data: Any) -> Part:
        named = data if data["event"] == "message-start" else {**data, "message_id": self._ident}
        return Part("messages", self._namespace, msgspec.json.encode(named))


class Speech:
    """The messages of one attempt of a run."""

    def __init__(self) -> None:
        self._open: dict[str, _Message] = {}
        self._partial: set[str] = set()  # those of the `messages` mode, in which nothing tells the end of one

    def chunk(self, namespace: list[str], message: dict[str, Any], metadata: dict[str, Any]) -> Iterator[Part]:
        """A chunk or message, and of which call it is: the `messages-tuple` mode."""
        kind, ident = message.get("type"), str(message.get("id") or "")
        if kind == "tool":
            yield from tool_message(str(message.get("tool_call_id") or ""), message)
        elif kind == "AIMessageChunk":
            if ident not in self._open:
                yield self._begin(namespace, ident)
            yield from self._open[ident].add(message)
            if message.get("chunk_position") == "last":
                yield from self._open.pop(ident).finish()
        elif kind == "ai" and "ls_model_type" in metadata:  # of a model that does not stream
            whole = _Message(namespace, ident)
            yield whole.start()
            yield from whole.show(message)
            yield from whole.finish()

    def partial(self, message: dict[str, Any]) -> Iterator[Part]:
        """A message as far as it has come: the `messages` mode, whose events never tell where they come from."""
        ident = str(message.get("id") or "")
        if ident not in self._open:
            self._partial.add(ident)
            yield self._begin([], ident)
        yield from self._open[ident].show(message)

    def step(self) -> Iterator[Part]:
        """A step of the root graph is done, and with it all that models have said in it."""
        for ident in [ident for ident in self._open if ident in self._partial]:
            yield from self._open.pop(ident).finish()

    def end(self) -> Iterator[Part]:
        """The run is over."""
        for message in self._open.values():
            yield from message.finish()
        self._open.clear()

    def _begin(self, namespace: list[str], ident: str) -> Part:
        self._open[ident] = _Message(namespace, ident)
        return self._open[ident].start()


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        block if isinstance(block, str) else block.get("text", "")
        for block in blocks
        if isinstance(block, str) or (isinstance(block, dict) and block.get("type") == "text")
    )
