"""The graphs that are measured, by the server and by langgraph alone.

echo    one node over messages
steps   ten nodes in a chain
tokens  one node whose model streams 200 tokens without delay
clock   one node that says when it started
"""
# ruff: noqa: ARG001, ARG002 - langchain and langgraph pass these by name, wanted or not

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from typing_extensions import TypedDict

STEPS = 10
TOKENS = 200


class TokenModel(BaseChatModel):
    """Streams t0 t1 t2 ... as fast as it is read."""

    @property
    def _llm_type(self) -> str:
        return "tokens"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        text = "".join(f"t{i} " for i in range(TOKENS))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for i in range(TOKENS):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"t{i} "))

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


class Count(TypedDict, total=False):
    n: int


class Clock(TypedDict, total=False):
    started: float


async def reply(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(content=f"echo: {state['messages'][-1].content}")]}


async def ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await TokenModel().ainvoke(state["messages"])]}


async def step(state: Count) -> Count:
    return {"n": state.get("n", 0) + 1}


async def tell(state: Clock) -> Clock:
    return {"started": time.time()}


def one_node(schema: type[Any], name: str, node: Any) -> StateGraph[Any]:
    builder = StateGraph(schema)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    builder.add_edge(name, END)
    return builder


def chain() -> StateGraph[Any]:
    builder = StateGraph(Count)
    for i in range(STEPS):
        builder.add_node(f"s{i}", step)
        builder.add_edge(f"s{i - 1}" if i else START, f"s{i}")
    builder.add_edge(f"s{STEPS - 1}", END)
    return builder


BUILDERS = {
    "clock": one_node(Clock, "tell", tell),
    "echo": one_node(MessagesState, "reply", reply),
    "steps": chain(),
    "tokens": one_node(MessagesState, "ask", ask),
}

clock = BUILDERS["clock"].compile()
echo = BUILDERS["echo"].compile()
steps = BUILDERS["steps"].compile()
tokens = BUILDERS["tokens"].compile()


def graph_input(graph: str) -> dict[str, Any]:
    """A valid input of the graph."""
    if graph == "steps":
        return {"n": 0}
    if graph == "clock":
        return {"started": 0.0}
    return {"messages": [{"role": "user", "content": "hello"}]}
