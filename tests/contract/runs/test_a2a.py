"""/a2a/{assistant_id}: JSON-RPC for agent-to-agent clients; a task is a run, a context a thread."""

import asyncio

import pytest

from tests.contract.runs.calls import get_thread, new_id, slow, thread_runs, until_step
from tests.contract.runs.sse import read_stream

JSON = {"accept": "application/json"}
SSE = {"accept": "text/event-stream"}


@pytest.fixture
def rpc(http, assistant_ids):
    async def call(graph, method, params, headers=JSON, id="1"):
        path = f"/a2a/{assistant_ids.get(graph, graph)}"
        body = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        response = await http.post(path, json=body, headers=headers)
        assert response.status_code == 200, response.text
        reply = response.json()
        assert (reply["jsonrpc"], reply["id"]) == ("2.0", id)
        return reply

    return call


@pytest.fixture
def stream(http, assistant_ids):
    async def call(graph, method, params):
        body = {"jsonrpc": "2.0", "id": "9", "method": method, "params": params}
        path = f"/a2a/{assistant_ids[graph]}"
        out = await read_stream(http, "POST", path, body=body, headers=SSE)
        assert out.headers["content-type"].startswith("text/event-stream")
        assert {e.event for e in out.events} == {"message"}
        return [e.data["result"] for e in out.events]

    return call


def says(text, **fields):
    parts = [{"kind": "text", "text": text}]
    return {"message": {"role": "user", "parts": parts, "messageId": new_id(), **fields}}


def gives(data, **fields):
    parts = [{"kind": "data", "data": data}]
    return {"message": {"role": "user", "parts": parts, "messageId": new_id(), **fields}}


async def test_context_is_a_thread_and_task_a_run(http, rpc):
    task = (await rpc("chat", "message/send", says("hello")))["result"]
    thread = await get_thread(http, task["contextId"])
    (run,) = await thread_runs(http, task["contextId"])
    assert thread["status"] == "idle"
    assert task["id"] == f"{task['contextId']}:{run['run_id']}"


async def test_a_context_carries_the_conversation_on(rpc):
    first = (await rpc("chat", "message/send", says("one")))["result"]
    second = (await rpc("chat", "message/send", says("two", contextId=first["contextId"])))["result"]
    assert second["contextId"] == first["contextId"] and second["id"] != first["id"]
    assert len(second["history"]) == 4


async def test_a_client_may_choose_the_context_id(http, rpc):
    context = new_id()
    task = (await rpc("chat", "message/send", says("hello", contextId=context)))["result"]
    assert task["contextId"] == context
    assert (await get_thread(http, context))["status"] == "idle"


async def test_data_parts_become_graph_input(rpc):
    task = (await rpc("linear", "message/send", gives({"log": ["z"]})))["result"]
    assert task["status"]["state"] == "completed"
    text = task["artifacts"][0]["parts"][0]["text"]
    assert "['z', 'a', 'b', 'c']" in text.replace('"', "'")


async def test_text_needs_a_messages_field(rpc):
    error = (await rpc("linear", "message/send", says("hello")))["error"]
    assert error["code"] == -32602 and "messages" in error["message"]


async def test_failure_is_a_failed_task(rpc):
    task = (await rpc("linear", "message/send", gives({"fail_at": "b"})))["result"]
    assert task["status"]["state"] == "failed"


async def test_interrupt_asks_for_input_and_a_text_resumes_it(rpc):
    task = (await rpc("nested", "message/send", gives({"pause": True})))["result"]
    assert task["status"]["state"] == "input-required"
    assert task["artifacts"][0]["parts"][0]["data"]["value"] == "child asks"
    answer = says("yes", contextId=task["contextId"], taskId=task["id"])
    resumed = (await rpc("nested", "message/send", answer))["result"]
    assert resumed["id"] == task["id"]
    assert resumed["status"]["state"] == "completed"
    assert resumed["artifacts"][0]["parts"] == [{"kind": "text", "text": "echo: told yes"}]


async def test_interrupt_can_be_resumed_with_a_data_part(rpc):
    task = (await rpc("ask", "message/send", gives({"topic": "x"})))["result"]
    answer = gives({"resume": "R"}, contextId=task["contextId"], taskId=task["id"])
    resumed = (await rpc("ask", "message/send", answer))["result"]
    assert resumed["status"]["state"] == "completed"
    assert "ask:R" in resumed["artifacts"][0]["parts"][0]["text"]


async def test_message_stream(stream):
    events = await stream("chat", "message/stream", says("hi there"))
    first, *updates, artifact, last = events
    assert (first["kind"], first["status"]["state"]) == ("task", "submitted")
    assert {u["kind"] for u in updates} == {"status-update"}
    assert {u["status"]["state"] for u in updates} == {"working"}
    texts = [u["status"]["message"]["parts"][0]["text"] for u in updates]
    assert texts[:3] == ["echo: ", "echo: hi ", "echo: hi there"]
    assert artifact["kind"] == "artifact-update" and artifact["lastChunk"] is True
    assert artifact["artifact"]["parts"] == [{"kind": "text", "text": "echo: hi there"}]
    assert (last["status"]["state"], last["final"]) == ("completed", True)


async def test_message_stream_of_an_interrupt(stream):
    *_, artifact, last = await stream("ask", "message/stream", gives({"topic": "x"}))
    assert artifact["artifact"]["parts"][0]["data"]["value"] == {"question": "what about x?"}
    assert (last["status"]["state"], last["final"]) == ("input-required", True)


async def test_message_stream_of_a_failure(stream):
    *_, last = await stream("linear", "message/stream", gives({"fail_at": "b"}))
    assert (last["status"]["state"], last["final"]) == ("failed", True)
    assert last["status"]["message"]["parts"][0]["text"] == "boom at b"


async def test_tasks_get(rpc):
    task = (await rpc("chat", "message/send", says("hello")))["result"]
    params = {"id": task["id"], "contextId": task["contextId"]}
    got = (await rpc("chat", "tasks/get", params))["result"]
    assert (got["id"], got["status"]["state"]) == (task["id"], "completed")
    assert len(got["history"]) == 2
    assert (await rpc("chat", "tasks/get", {"id": task["id"]}))["result"]["id"] == task["id"]


async def test_tasks_get_unknown(rpc):
    params = {"id": f"{new_id()}:{new_id()}"}
    assert (await rpc("chat", "tasks/get", params))["error"]["code"] == -32001


async def test_tasks_cancel(http, rpc):
    context = new_id()
    sending = asyncio.create_task(rpc("slow", "message/send", gives(slow(), contextId=context)))
    while not (runs := await active_runs(http, context)):
        await asyncio.sleep(0.05)
    await until_step(http, context, runs[0]["run_id"])
    params = {"id": f"{context}:{runs[0]['run_id']}", "contextId": context}
    assert (await rpc("slow", "tasks/get", params))["result"]["status"]["state"] == "working"
    assert (await rpc("slow", "tasks/cancel", params))["result"]["status"]["state"] == "canceled"
    await sending
    assert (await rpc("slow", "tasks/get", params))["result"]["status"]["state"] == "canceled"


async def active_runs(http, thread):
    response = await http.get(f"/threads/{thread}/runs")
    return response.json() if response.status_code == 200 else []


async def test_malformed_json(http, assistant_ids):
    response = await http.post(f"/a2a/{assistant_ids['chat']}", content=b"{", headers=JSON)
    assert (response.status_code, response.json()["error"]["code"]) == (200, -32700)
