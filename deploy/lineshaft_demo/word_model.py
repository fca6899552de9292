"""Chat models without a neural network: they know their whole answer and stream it word by word."""

import asyncio
import json
import re
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

_WORD_AND_SPACE = re.compile(r"\s*\S+\s*")


class Answer(NamedTuple):
    """What a model says: a text or a tool call, and how long it waits before each word."""

    text: str = ""
    tool_call: ToolCall | None = None
    seconds_per_word: float = 0.0


class WordModel(BaseChatModel):
    """A chat model whose subclasses only say `answer(messages)`; generating and streaming, sync and async, are here."""

    @abstractmethod
    def answer(self, messages: list[BaseMessage]) -> Answer:
        """The whole answer to a conversation."""

    def _stream(self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any) -> Iterator[ChatGenerationChunk]:
        answer = self.answer(messages)
        for chunk in _chunks(answer):
            time.sleep(answer.seconds_per_word)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer = self.answer(messages)
        for chunk in _chunks(answer):
            await asyncio.sleep(answer.seconds_per_word)  # also with 0: other runs get their turn, and a cancel arrives
            yield chunk

    def _generate(self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any) -> ChatResult:
        return generate_from_stream(self._stream(messages))

    async def _agenerate(self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages))


class Reciter(WordModel):
    """Says the last message again: turns a ready text into a streamed message."""

    @property
    def _llm_type(self) -> str:
        return "reciter"

    def answer(self, messages: list[BaseMessage]) -> Answer:
        """The text of the last message."""
        return Answer(messages[-1].text)


def _chunks(answer: Answer) -> Iterator[ChatGenerationChunk]:
    """The words of an answer, each with its spaces so that together they are the text, then the tool call."""
    for word in _WORD_AND_SPACE.findall(answer.text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    if call := answer.tool_call:
        part = tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=0)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[part]))
    yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))
