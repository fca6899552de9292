"""The official clients of the Model Context Protocol and of Agent2Agent, against a real server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx
import msgspec
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client import Client as A2AClient
from a2a.helpers.proto_helpers import (
    get_artifact_text,
    get_data_parts,
    get_message_text,
    new_data_message,
    new_text_message,
)
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from lineshaft.ids import system_assistant
from tests.system.journal import PATIENCE
from tests.system.server import DevServer

pytestmark = pytest.mark.xdist_group("clients")

PROJECT = Path(__file__).parents[1] / "contract" / "runs_project" / "langgraph.json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("protocols"), config=PROJECT) as server:
        yield server


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # whether it asks for the newest protocol first
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_a_client_of_tools(server: DevServer, path: str, mode: Literal["auto", "legacy"]) -> None:
    async with Client(server.url + path, mode=mode) as client:
        assert client.server_info
        assert client.server_info.name == "Lineshaft"
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"chat", "linear", "ask", "func"} <= tools.keys()
        assert tools["chat"].input_schema["properties"]["messages"]["type"] == "string"

        values = msgspec.json.decode(text_of(await client.call_tool("chat", {"messages": "hello"})))
        assert [message["content"] for message in values["messages"]] == ["hello", "echo: hello"]
        failed = await client.call_tool("linear", {"fail_at": "b"})
        assert (failed.is_error, text_of(failed)) == (True, "ValueError: boom at b")
        with pytest.raises(MCPError, match="Unknown tool: nope"):
            await client.call_tool("nope", {})


@asynccontextmanager
async def speaking(server: DevServer, graph: str, version: str, *, streaming: bool) -> AsyncIterator[A2AClient]:
    """The client that an agent's card leads to; 0.3 is spoken with agents whose card says nothing newer."""
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        card = await A2ACardResolver(http, f"{server.url}/a2a/{system_assistant(graph)}").get_agent_card()
        assert [interface.protocol_version for interface in card.supported_interfaces] == ["1.0"]
        card.supported_interfaces[0].protocol_version = version
        yield ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)


async def say(client: A2AClient, message: Message) -> list[StreamResponse]:
    return [event async for event in client.send_message(SendMessageRequest(message=message))]


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_client_that_watches_an_agent(server: DevServer, version: str) -> None:
    async with speaking(server, "chat", version, streaming=True) as client:
        first, *updates, artifact, last = await say(client, new_text_message("hi there", role=Role.ROLE_USER))
        assert first.task.status.state == TaskState.TASK_STATE_SUBMITTED
        words = [get_message_text(update.status_update.status.message) for update in updates]
        assert words == ["echo: ", "echo: hi ", "echo: hi there"]
        assert get_artifact_text(artifact.artifact_update.artifact) == "echo: hi there"
        assert last.status_update.status.state == TaskState.TASK_STATE_COMPLETED

        task = await client.get_task(GetTaskRequest(id=first.task.id))
        assert task.status.state == TaskState.TASK_STATE_COMPLETED
        assert [get_message_text(message) for message in task.history] == ["hi there", "echo: hi there"]
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(CancelTaskRequest(id=task.id))
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id="nobody's"))


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_client_that_waits_for_an_agent_and_answers_it(server: DevServer, version: str) -> None:
    async with speaking(server, "ask", version, streaming=False) as client:
        (asked,) = await say(client, new_data_message({"topic": "x"}, role=Role.ROLE_USER))
        assert asked.task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        (data,) = get_data_parts(asked.task.artifacts[0].parts)
        assert data["value"] == {"question": "what about x?"}
        place = {"context_id": asked.task.context_id, "task_id": asked.task.id}
        (done,) = await say(client, new_data_message({"resume": "R"}, role=Role.ROLE_USER, **place))
        assert (done.task.id, done.task.status.state) == (asked.task.id, TaskState.TASK_STATE_COMPLETED)
        assert '"answer": "R"' in get_artifact_text(done.task.artifacts[0])


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_client_that_takes_its_stream_up_again(server: DevServer, version: str) -> None:
    """It left while the agent was at work, comes back, and cancels."""
    async with speaking(server, "slow", version, streaming=True) as client:
        request = SendMessageRequest(message=new_data_message({"steps": 100, "delay": 0.2}, role=Role.ROLE_USER))
        leaving = client.send_message(request)
        task_id = (await anext(aiter(leaving))).task.id
        await leaving.aclose()  # type: ignore[attr-defined]  # an iterator by its annotation, a generator in fact
        again = aiter(client.subscribe(SubscribeToTaskRequest(id=task_id)))
        assert (await anext(again)).task.id == task_id
        cancelled = await client.cancel_task(CancelTaskRequest(id=task_id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        *_, last = [event async for event in again]
        assert last.status_update.status.state == TaskState.TASK_STATE_CANCELED
