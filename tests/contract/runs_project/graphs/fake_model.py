"""A chat model with no network: it streams a deterministic reply word by word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


def text_of(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(p.get("text", "") for p in message.content if isinstance(p, dict))


class EchoModel(BaseChatModel):
    """Replies `echo: <last message text>`; `delay` seconds between words.

    When the last message reads `call <tool> <int> <int>` it asks for that tool.
    """

    delay: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _reply(self, messages: list[BaseMessage]) -> AIMessage:
        last = messages[-1]
        text = text_of(last)
        if isinstance(last, ToolMessage):
            return AIMessage(content=f"result: {text}")
        match = re.fullmatch(r"call (\w+) (-?\d+) (-?\d+)", text)
        if match:
            name, a, b = match.groups()
            call = {"name": name, "args": {"a": int(a), "b": int(b)}, "id": "call-1"}
            return AIMessage(content="", tool_calls=[call])
        return AIMessage(content=f"echo: {text}")

    def _chunks(self, messages: list[BaseMessage]) -> list[AIMessageChunk]:
        reply = self._reply(messages)
        if reply.tool_calls:
            call = reply.tool_calls[0]
            args = f'{{"a": {call["args"]["a"]}, "b": {call["args"]["b"]}}}'
            piece = {"name": call["name"], "args": args, "id": call["id"], "index": 0}
            return [AIMessageChunk(content="", tool_call_chunks=[piece])]
        words = re.findall(r"\S+\s*", text_of(reply))
        return [AIMessageChunk(content=w) for w in words]

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages))])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages):
            out = ChatGenerationChunk(message=chunk)
            if run_manager:
                run_manager.on_llm_new_token(text_of(chunk), chunk=out)
            yield out

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages):
            if self.delay:
                await asyncio.sleep(self.delay)
            out = ChatGenerationChunk(message=chunk)
            if run_manager:
                await run_manager.on_llm_new_token(text_of(chunk), chunk=out)
            yield out
