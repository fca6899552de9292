"""/a2a/{assistant_id}: sending messages. Other cases are in the contract suite, the official client in tests/system."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore
from lineshaft_api import follow

from .agent import AGENT, Agent, ai, gives, human, says
from .gateway import publish, serving

HELLO = {"messages": [human("hello", "m1"), ai("hi there", "m2")]}


@pytest.fixture
async def agent(client: Client, settings: Settings) -> AsyncIterator[Agent]:
    async with serving(client, settings) as gateway:
        agent = Agent(gateway)
        await agent.begin()
        yield agent


@pytest.mark.parametrize(
    ("body", "code", "call_id"),
    [
        (b"{", -32700, None),
        (b"[]", -32600, None),
        (b'{"id":7,"method":"tasks/get"}', -32600, 7),
        (b'{"jsonrpc":"2.0","method":"tasks/get"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":7}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"tasks/list"}', -32601, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":[]}', -32602, 7),
        (b'{"jsonrpc":"2.0","id":"x","method":"message/send"}', -32602, "x"),
    ],
)
async def test_what_is_no_call(agent: Agent, body: bytes, code: int, call_id: Any) -> None:
    headers = {"Accept": "application/json"}
    answer = await agent.gateway.json("POST", agent.path, data=body, headers=headers)
    assert (answer["error"]["code"], answer["id"]) == (code, call_id)


@pytest.mark.parametrize("name", ["01a20056-5bd2-76fa-8e52-c19bdc138892", "g"])
async def test_an_unknown_agent(agent: Agent, name: str) -> None:
    agent.path = f"/a2a/{name}"
    assert await agent.code("message/send", says("hello")) == -32602


@pytest.mark.parametrize(
    ("method", "accept", "status"),
    [
        ("tasks/get", "text/event-stream", 400),
        ("tasks/get", "application/json;q=0.5, text/html", 200),
        ("tasks/get", "*/*", 200),
        ("message/stream", "application/json", 400),
        ("SubscribeToTask", "text/event-stream", 200),
    ],
)
async def test_the_accept_header(agent: Agent, method: str, accept: str, status: int) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": f"{uuid7()}:{uuid7()}"}}
    answer = await agent.gateway.json("POST", agent.path, status, json=body, headers={"Accept": accept})
    assert "error" in answer


@pytest.mark.parametrize(
    "params",
    [
        says("hello", contextId="somewhere"),
        {"message": {"role": "user", "messageId": "m", "parts": []}},
        {"message": {"role": "user", "messageId": "m", "parts": [{"kind": "file", "file": {"uri": "http://x"}}]}},
        gives([1]),
        {**says("hello"), "configuration": {"historyLength": -1}},
    ],
)
async def test_messages_that_mean_nothing(agent: Agent, params: Any) -> None:
    assert await agent.code("message/send", params) == -32602


async def test_a_task_in_the_shape_of_0_3(agent: Agent) -> None:
    task = await agent.send(says("hello"), HELLO)
    context, _, run = task["id"].partition(":")
    of = {"kind": "message", "contextId": context, "taskId": task["id"]}
    del task["status"]["timestamp"], task["artifacts"][0]["artifactId"]
    assert task == {
        "kind": "task",
        "id": f"{context}:{run}",
        "contextId": context,
        "status": {"state": "completed"},
        "history": [
            {**of, "role": "user", "parts": [{"kind": "text", "text": "hello"}], "messageId": "m1"},
            {**of, "role": "agent", "parts": [{"kind": "text", "text": "hi there"}], "messageId": "m2"},
        ],
        "artifacts": [
            {
                "name": "Assistant Response",
                "description": f"Response from assistant {AGENT}",
                "parts": [{"kind": "text", "text": "hi there"}],
            }
        ],
    }


async def test_a_task_in_the_shape_of_1_0(agent: Agent) -> None:
    message = {"role": "ROLE_USER", "parts": [{"text": "hello"}], "messageId": "m1"}
    task = (await agent.send({"message": message}, HELLO, method="SendMessage"))["task"]
    of = {"contextId": task["contextId"], "taskId": task["id"]}
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["history"] == [
        {**of, "role": "ROLE_USER", "parts": [{"text": "hello"}], "messageId": "m1"},
        {**of, "role": "ROLE_AGENT", "parts": [{"text": "hi there"}], "messageId": "m2"},
    ]
    assert task["artifacts"][0]["parts"] == [{"text": "hi there"}]
    assert "kind" not in msgspec.json.encode(task).decode()


@pytest.mark.parametrize(
    ("parts", "given"),
    [
        (
            [{"text": "a"}, {"data": {"n": 1}}, {"kind": "text", "text": "b"}, {"data": {"m": 2}}],
            {"n": 1, "m": 2, "messages": [{"role": "user", "content": "a\nb", "id": "m1"}]},
        ),
        (
            [{"text": "b"}, {"data": {"messages": [human("a", "m0")]}}],
            {"messages": [human("a", "m0"), {"role": "user", "content": "b", "id": "m1"}]},
        ),
    ],
)
async def test_what_the_graph_is_given(agent: Agent, parts: list[Any], given: Any) -> None:
    call, attempt = await agent.going("message/send", {"message": {"parts": parts, "messageId": "m1"}})
    (run,) = await agent.gateway.json("GET", f"/threads/{attempt.thread}/runs")
    assert run["kwargs"]["input"] == given
    await attempt.finish()
    await call


async def test_values_of_a_graph_without_messages_are_the_answer(agent: Agent, client: Client) -> None:
    await publish(client, "g", type="object", properties={"n": {"type": "integer"}})
    task = await agent.send(gives({"n": 1}), {"n": 2, "log": ["é"]})
    assert task["artifacts"][0]["parts"] == [{"kind": "text", "text": '{"n": 2, "log": ["é"]}'}]
    assert [message["parts"] for message in task["history"]] == [[{"kind": "data", "data": {"n": 1}}]]
    assert await agent.code("message/send", says("hello")) == -32602


async def test_the_history_of_a_context(agent: Agent) -> None:
    """All turns, of which some are the task's; a client may want less. What tools say is not said to the client."""
    first = await agent.send(says("hello"), HELLO)
    tool = {"type": "tool", "content": "42", "id": "t"}
    values = {"messages": [*HELLO["messages"], human("more", "m3"), ai("", "m4"), tool, ai("that is all", "m5")]}
    for headers, length, shown in (
        ({}, None, ["m1", "m2", "m3", "m5"]),
        ({"LangGraph-A2A-History-Scope": "task"}, None, ["m3", "m5"]),
        ({}, 3, ["m2", "m3", "m5"]),
        ({}, 0, []),
        ({}, 9, ["m1", "m2", "m3", "m5"]),
    ):
        params = {**says("more", "m3", contextId=first["contextId"]), "configuration": {"historyLength": length}}
        task = await agent.send(params, values, **headers)
        assert [message["messageId"] for message in task["history"]] == shown
        own = {"m3", "m5"} & set(shown)
        assert {m["messageId"] for m in task["history"] if m.get("taskId") == task["id"]} == own


async def test_failures(agent: Agent) -> None:
    """Who waits hears which error it was, who watches what it says too."""
    error = {"error": "ValueError", "message": "boom"}
    call, attempt = await agent.going("message/send", says("hello"))
    await attempt.emit("error", error)
    await attempt.finish("error", error=msgspec.json.encode(error), thread_status="error")
    task = await call
    assert task["status"]["state"] == "failed"
    assert task["status"]["message"]["parts"][0]["text"] == "Error executing assistant: ValueError"
    assert [message["messageId"] for message in task["history"]] == ["m1"]
    assert "artifacts" not in task

    call, _ = await agent.stream("message/stream", says("hello", contextId=task["contextId"]))
    attempt = await agent.gateway.claim()
    await attempt.emit("values", {"messages": []})
    await attempt.emit("error", error)
    await attempt.finish("error", error=msgspec.json.encode(error), thread_status="error")
    *_, last = await call
    assert (last["status"]["state"], last["status"]["message"]["parts"][0]["text"]) == ("failed", "boom")


@pytest.mark.parametrize(("status", "state"), [("timeout", "failed"), ("interrupted", "canceled")])
async def test_half_an_answer_is_none(agent: Agent, status: str, state: str) -> None:
    call, attempt = await agent.going("message/send", says("hello"))
    await attempt.emit("values", HELLO)
    if status == "interrupted":
        await agent.gateway.http.post(f"/threads/{attempt.thread}/runs/{attempt.run}/cancel")
    await attempt.finish(status, handled="interrupt" if status == "interrupted" else "")
    task = await call
    assert task["status"]["state"] == state
    assert "artifacts" not in task


async def test_a_task_that_was_rolled_back_is_no_more(agent: Agent) -> None:
    call = asyncio.create_task(agent.call("message/send", says("hello")))
    attempt = await agent.gateway.claim()
    await agent.gateway.http.post(f"/threads/{attempt.thread}/runs/{attempt.run}/cancel?action=rollback")
    await attempt.finish("interrupted", handled="rollback")
    assert (await call)["error"]["code"] == -32001


def chunk(text: str, message_id: str = "m2", kind: str = "AIMessageChunk") -> list[Any]:
    return [{"type": kind, "content": text, "id": message_id}, {}]


async def test_a_stream_in_the_shape_of_1_0(agent: Agent) -> None:
    """Words pile up for each message, and a later attempt begins anew."""
    call, _ = await agent.stream("SendStreamingMessage", {"message": {"parts": [{"text": "a"}], "messageId": "m1"}})
    attempt = await agent.gateway.claim()
    await attempt.emit("messages", chunk("lost"))
    await attempt.crash()
    attempt = await agent.gateway.claim()
    await attempt.emit(
        "messages", chunk("hi "), chunk("x", "t", "tool"), chunk("there"), chunk(""), chunk("ok", "m3", "ai")
    )
    await attempt.emit("values", HELLO)
    await attempt.finish()
    first, *updates, artifact, last = await call
    task_id = f"{attempt.thread}:{attempt.run}"
    of = {"taskId": task_id, "contextId": attempt.thread}
    assert (first["task"]["id"], first["task"]["status"]["state"]) == (task_id, "TASK_STATE_SUBMITTED")
    assert [message["messageId"] for message in first["task"]["history"]] == ["m1"]
    shown = [update["statusUpdate"]["status"] for update in updates]
    assert [status["message"]["parts"] for status in shown] == [
        [{"text": t}] for t in ("lost", "hi ", "hi there", "ok")
    ]
    assert {status["state"] for status in shown} == {"TASK_STATE_WORKING"}
    assert len({status["message"]["messageId"] for status in shown}) == 4
    del artifact["artifactUpdate"]["artifact"]["artifactId"]
    assert artifact["artifactUpdate"] == {
        **of,
        "artifact": {
            "name": "Assistant Response",
            "description": f"Response from assistant {AGENT}",
            "parts": [{"text": "hi there"}],
        },
        "append": False,
        "lastChunk": True,
    }
    del last["statusUpdate"]["status"]["timestamp"]
    assert last == {"statusUpdate": {**of, "status": {"state": "TASK_STATE_COMPLETED"}}}


async def test_a_stream_whose_thread_is_deleted_says_so(
    agent: Agent, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)
    call, _ = await agent.stream("message/stream", says("hello"))
    attempt = await agent.gateway.claim()
    await agent.gateway.watched(attempt.thread)
    await ThreadStore(client).delete(attempt.thread)
    *_, last = await call
    assert last["code"] == -32001
