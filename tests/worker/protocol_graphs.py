"""Graphs for the tests of protocol v2: what only that protocol shows."""

import asyncio
from typing import Any

from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.stream import StreamChannel, StreamTransformer
from langgraph.stream.transformers import CheckpointsTransformer, TasksTransformer

from .run_graphs import ENTERED, chain, hold, plain

PARALLEL = asyncio.Barrier(2)  # until both models have begun to speak


@tool
async def double(n: int) -> str:
    """Twice a number."""
    if n < 0:
        raise ValueError("negative")
    return str(2 * n)


async def call_tool(state: MessagesState) -> dict[str, Any]:
    if state["messages"][-1].type == "tool":
        return {"messages": [AIMessage("done", id="done")]}
    call = {"name": "double", "args": {"n": int(state["messages"][-1].text)}, "id": "c|1", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call], id="calling")]}


_tooling = StateGraph(MessagesState)
_tooling.add_node("model", call_tool)
_tooling.add_node("tools", ToolNode([double], handle_tool_errors=False))
_tooling.add_edge(START, "model")
_tooling.add_conditional_edges("model", tools_condition)
_tooling.add_edge("tools", "model")
tooling = _tooling


class Together(GenericFakeChatModel):
    """Says its first word only when another one does."""

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        first = True
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
            if first:
                await PARALLEL.wait()
                first = False


def speaker(text: str) -> Any:
    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await Together(messages=iter([AIMessage(text)])).ainvoke(state["messages"])]}

    return speak


parallel: StateGraph[Any, Any, Any, Any] = StateGraph(MessagesState)
for _text in ("left one", "right one"):
    parallel.add_node(_text, speaker(_text))
    parallel.add_edge(START, _text)


async def call_mute(state: MessagesState) -> dict[str, Any]:
    model = FakeMessagesListChatModel(responses=[AIMessage("all at once")])
    return {"messages": [await model.ainvoke(state["messages"])]}


mute = chain(("model", call_mute), state=MessagesState)


# transformers
class Steps(StreamTransformer):
    """Counts the states that it sees, on a channel of its own, and does something beside the run."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self.channel: StreamChannel[Any] = StreamChannel("steps")
        self.count = 0

    requires_async = True

    def init(self) -> dict[str, Any]:
        return {"steps": self.channel}

    def process(self, event: Any) -> bool:
        if event["method"] == "values":
            self.count += 1
            self.channel.push(self.count)
            if self.count == 1:
                self.schedule(self.beside())
        return True

    async def beside(self) -> None:
        ENTERED.append("beside")
        try:
            await asyncio.sleep(0)
            if hold_beside:
                await asyncio.Event().wait()
        finally:
            ENTERED.append("beside is over")


hold_beside: list[bool] = []  # not empty: what is done beside the run has no end of its own


class Failing(StreamTransformer):
    """Cannot deal with the second state."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self.count = 0

    def init(self) -> dict[str, Any]:
        return {}

    def process(self, event: Any) -> bool:
        self.count += event["method"] == "values"
        if self.count == 2:
            raise RuntimeError("a transformer fails")
        return True


watched = chain(("a", plain("a")), ("hold", hold)).compile(transformers=[TasksTransformer, CheckpointsTransformer])
badly_watched = chain(("a", plain("a"))).compile(transformers=[Failing])


def stream_transformers() -> list[Any]:
    return [Steps]


NAMES = ("tooling", "parallel", "mute", "watched", "badly_watched")
