"""The clients that people have, against a real server: the official SDK, async and sync, and RemoteGraph."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from tests.system.journal import CONFIG, PATIENCE, Journal, until
from tests.system.server import DevServer

pytestmark = pytest.mark.xdist_group("clients")

MESSAGE = {"role": "user", "content": "Hello, can you help me with a task?"}
README = {"text": (Path(__file__).parents[2] / "README.md").read_text()}
# Any: the clients' annotations are literals, which a constant does not keep.
MODES: Any = ["values", "custom", "messages-tuple"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("clients"), config=CONFIG) as server:
        yield server


@pytest.fixture
def sync_sdk(server: DevServer) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=server.url) as client:
        yield client


def check_conversation(messages: Any) -> None:
    """Both sides are there."""
    assert [(message["type"], bool(message["content"])) for message in messages] == [("human", True), ("ai", True)]
    assert messages[0]["content"] == MESSAGE["content"]


def check_digest(parts: Iterable[Any]) -> None:
    """Progress by the custom writer, the digest as message chunks, and the state that they lead to."""
    events = [(part[0], part[1]) for part in parts]
    stages = [data["stage"] for event, data in events if event == "custom"]
    assert (stages[0], set(stages[1:-1]), stages[-1]) == ("split", {"scored"}, "chosen")
    chunks = [data[0]["content"] for event, data in events if event == "messages"]
    assert len(chunks) > 5
    final = [data for event, data in events if event == "values"][-1]
    assert final["digest"].startswith("- ")
    assert "".join(chunks) == final["digest"] == final["messages"][-1]["content"]


async def test_the_walk_through_a_conversation(sdk: LangGraphClient) -> None:
    thread_id = (await sdk.threads.create(metadata={"user_id": "user_123"}))["thread_id"]
    await sdk.http.post(f"/threads/{thread_id}/messages", json=MESSAGE)
    run = await sdk.runs.create(thread_id, "chat")

    async def succeeded() -> bool:
        return (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "success"

    await until(succeeded, "the run succeeds")
    check_conversation(await sdk.http.get(f"/threads/{thread_id}/messages"))
    state: Any = await sdk.threads.get_state(thread_id)
    check_conversation(state["values"]["messages"])
    assistants = await sdk.assistants.search(metadata={}, limit=10, offset=0)
    assert {assistant["graph_id"] for assistant in assistants} >= {"chat", "digest"}
    found = await sdk.threads.search(metadata={"user_id": "user_123"})
    assert [thread["thread_id"] for thread in found] == [thread_id]


async def test_a_run_in_progress_is_cancelled(sdk: LangGraphClient, journal: Journal, thread_id: str) -> None:
    run = await sdk.runs.create(thread_id, "steps", input=journal.input(hold=1, gated=False))
    await journal.wait_for("began", 1)
    await sdk.runs.cancel(thread_id, run["run_id"], wait=True)
    assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"


async def test_the_digest_of_our_readme_streams(sdk: LangGraphClient) -> None:
    check_digest([part async for part in sdk.runs.stream(None, "digest", input=README, stream_mode=MODES)])


def test_the_walk_through_a_conversation_without_asyncio(sync_sdk: SyncLangGraphClient) -> None:
    thread_id = sync_sdk.threads.create(metadata={"user_id": "user_124"})["thread_id"]
    sync_sdk.http.post(f"/threads/{thread_id}/messages", json=MESSAGE)
    run = sync_sdk.runs.create(thread_id, "chat")
    deadline = time.monotonic() + PATIENCE
    while sync_sdk.runs.get(thread_id, run["run_id"])["status"] != "success":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    check_conversation(sync_sdk.http.get(f"/threads/{thread_id}/messages"))
    state: Any = sync_sdk.threads.get_state(thread_id)
    check_conversation(state["values"]["messages"])
    assistants = sync_sdk.assistants.search(metadata={}, limit=10, offset=0)
    assert {assistant["graph_id"] for assistant in assistants} >= {"chat", "digest"}
    found = sync_sdk.threads.search(metadata={"user_id": "user_124"})
    assert [thread["thread_id"] for thread in found] == [thread_id]


def test_the_digest_of_our_readme_streams_without_asyncio(sync_sdk: SyncLangGraphClient) -> None:
    check_digest(sync_sdk.runs.stream(None, "digest", input=README, stream_mode=MODES))


async def test_a_remote_graph_is_a_graph(sdk: LangGraphClient, thread_id: str) -> None:
    chat = RemoteGraph("chat", client=sdk)
    check_conversation((await chat.ainvoke({"messages": [MESSAGE]}, place(thread_id)))["messages"])
    state = await chat.aget_state(place(thread_id))
    check_conversation(state.values["messages"])
    assert state.next == ()
    check_digest([part async for part in RemoteGraph("digest", client=sdk).astream(README, stream_mode=MODES)])


def test_a_remote_graph_is_a_graph_without_asyncio(sync_sdk: SyncLangGraphClient) -> None:
    thread_id = sync_sdk.threads.create()["thread_id"]
    chat = RemoteGraph("chat", sync_client=sync_sdk)
    check_conversation(chat.invoke({"messages": [MESSAGE]}, place(thread_id))["messages"])
    check_conversation(chat.get_state(place(thread_id)).values["messages"])
    check_digest(RemoteGraph("digest", sync_client=sync_sdk).stream(README, stream_mode=MODES))


def place(thread_id: str) -> Any:
    """The config of a graph that works on a thread."""
    return {"configurable": {"thread_id": thread_id}}
