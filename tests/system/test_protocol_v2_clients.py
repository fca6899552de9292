"""The official SDK's streams of a thread (protocol v2), over server-sent events and over a WebSocket."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import LangGraphClient

from tests.system.journal import PATIENCE, until
from tests.system.server import DevServer

PROJECT = Path(__file__).parents[1] / "contract" / "runs_project" / "langgraph.json"
HI = {"messages": [{"role": "user", "content": "hi there"}]}
ADD = {"messages": [{"role": "user", "content": "call add 2 3"}]}

pytestmark = [pytest.mark.xdist_group("clients"), pytest.mark.parametrize("transport", ["sse", "websocket"])]
Transport = Literal["sse", "websocket"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("protocol-v2"), config=PROJECT) as server:
        yield server


def new_thread(sdk: LangGraphClient, graph: str, transport: Transport) -> Any:
    """A stream of a thread that the first run makes."""
    return sdk.threads.stream(str(uuid.uuid4()), assistant_id=graph, transport=transport)


async def collected(items: Any) -> list[Any]:
    """All of a stream, whose end must come."""
    async with asyncio.timeout(PATIENCE):
        return [item async for item in items]


async def test_values_and_output(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "linear", transport) as thread:
        await thread.run.start(input={"log": []})
        values = await collected(thread.values)
        assert values[-1] == {"log": ["a", "b", "c"]}
        # They begin with the state of the moment; then comes each, also what was before.
        assert values[1:] == [{"log": [*"abc"][:n]} for n in range(4)]
        assert await thread.output == {"log": ["a", "b", "c"]}


async def test_messages(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "chat", transport) as thread:
        await thread.run.start(input=HI)
        (message,) = await collected(thread.messages)
        assert await message.text == "echo: hi there"
        assert (await message.output).id == (await thread.output)["messages"][-1]["id"]


async def test_tool_calls(sdk: LangGraphClient, transport: Transport) -> None:
    """Of a graph that asks for nothing: the official server sends them only to who has transformers for them."""
    async with new_thread(sdk, "tools", transport) as thread:
        await thread.run.start(input=ADD)
        (call,) = await collected(thread.tool_calls)
        assert (call.name, call.input, (await call.output)["content"]) == ("add", {"a": 2, "b": 3}, "5")


async def test_subgraphs(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "nested", transport) as thread:
        await thread.run.start(input={})
        (child,) = await collected(thread.subgraphs)
        assert (child.graph_name, child.status) == ("child", "completed")
        (message,) = await collected(child.messages)
        assert await message.text == "echo: hello child"


async def test_channels_that_a_graph_adds(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "full", transport) as thread:
        await thread.run.start(input=HI)
        steps = await collected(thread.extensions["steps"])
        assert steps == [{"name": "steps", "payload": {"steps": n}} for n in (1, 2)]
        # They are there for who comes later, too.
        async with sdk.threads.stream(thread.thread_id, assistant_id="full", transport=transport) as later:
            assert await collected(later.extensions["steps"]) == steps


async def test_several_projections_in_one(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "full", transport) as thread:
        await thread.run.start(input=ADD)
        names = ["values", "messages", "tool_calls", "steps", "updates", "tasks", "checkpoints"]
        items = await collected(thread.interleave_projections(names))
        assert {name for name, _ in items} == set(names)
        assert [list(update) for name, update in items if name == "updates"] == [["model"], ["tools"], ["model"]]


async def test_a_question_and_its_answer(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "ask", transport) as thread:
        await thread.run.start(input={"topic": "x"})
        # Not by the end of its values: an iterator of the SDK that begins after the question has come waits for ever.
        await until(lambda: thread.interrupted, "it asks")
        (asked,) = thread.interrupts
        assert (asked["value"], asked["namespace"]) == ({"question": "what about x?"}, [])
        await thread.run.respond("yes")
        assert (await thread.output)["log"] == ["prepare", "ask:yes", "finish"]
        assert not thread.interrupted


async def test_a_question_of_a_subgraph(sdk: LangGraphClient, transport: Transport) -> None:
    """Told once: with two of the same id the SDK could not say which one is answered."""
    async with new_thread(sdk, "nested", transport) as thread:
        await thread.run.start(input={"pause": True})
        await until(lambda: thread.interrupted, "it asks")
        (asked,) = thread.interrupts
        assert asked["namespace"][0].startswith("child:")
        await thread.run.respond("42")
        assert "told 42" in [message["content"] for message in (await thread.output)["messages"]]


async def test_an_input_that_is_an_answer(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "ask", transport) as thread:
        await thread.run.start(input={"topic": "x"})
        await until(lambda: thread.interrupted, "it asks")
        await thread.run.start(input="of course")
        assert (await thread.output)["answer"] == "of course"


async def test_a_failure(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "linear", transport) as thread:
        await thread.run.start(input={"fail_at": "b"})
        with pytest.raises(RuntimeError, match="boom at b"):
            await asyncio.wait_for(thread.output, PATIENCE)


async def test_the_end_of_a_cancelled_run(sdk: LangGraphClient, transport: Transport) -> None:
    """On the official server these wait for ever."""
    async with new_thread(sdk, "slow", transport) as thread:
        run = await thread.run.start(input={"steps": 100, "delay": 0.1})
        seen = 0
        async with asyncio.timeout(PATIENCE):
            async for _ in thread.values:
                seen += 1
                if seen == 3:
                    await sdk.runs.cancel(thread.thread_id, run["run_id"])
            assert "begin" in (await thread.output)["log"]


async def test_who_comes_later_sees_what_was(sdk: LangGraphClient, transport: Transport) -> None:
    async with new_thread(sdk, "linear", transport) as thread:
        await thread.run.start(input={"log": []})
        await thread.output
    async with sdk.threads.stream(thread.thread_id, assistant_id="linear", transport=transport) as later:
        assert await asyncio.wait_for(later.output, PATIENCE) == {"log": ["a", "b", "c"]}
        updates = []
        async for event in later.subscribe(["updates", "lifecycle"]):
            updates.append(event["params"]["data"])
            if event["method"] == "lifecycle" and updates[-1]["event"] == "completed":
                break
        assert updates[1:-1] == [{name: {"log": [name]}} for name in "abc"]


def test_the_synchronous_client(server: DevServer, transport: Transport) -> None:
    with (
        get_sync_client(url=server.url) as sdk,
        sdk.threads.stream(str(uuid.uuid4()), assistant_id="chat", transport=transport) as thread,
    ):
        thread.run.start(input=HI)
        assert [str(message.text) for message in thread.messages] == ["echo: hi there"]
        assert thread.output["messages"][-1]["type"] == "ai"
