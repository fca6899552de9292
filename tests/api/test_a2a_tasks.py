"""Tasks of /a2a/{assistant_id} that are there already: answered, read, watched again, cancelled, listed."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.document import AssistantDoc
from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_api.a2a import records

from .agent import Agent, Task, ai, gives, human, says
from .gateway import publish, serving

HELLO = {"messages": [human("hello", "m1"), ai("hi there", "m2")]}
INTERRUPT = {"id": "i1", "value": {"question": "sure?"}, "response_schema": None}


@pytest.fixture
async def agent(client: Client, settings: Settings) -> AsyncIterator[Agent]:
    async with serving(client, settings) as gateway:
        agent = Agent(gateway)
        await agent.begin()
        yield agent


async def asking(agent: Agent, **fields: Any) -> Task:
    """A task that waits for an answer."""
    call, attempt = await agent.going("message/send", says("hello", **fields))
    values = {"messages": [human("hello", "m1")]}
    await attempt.emit("values", {**values, "__interrupt__": [INTERRUPT]})
    stored: dict[str, Any] = {
        "state": msgspec.json.encode({"values": values}),
        "interrupts": msgspec.json.encode({"t": [INTERRUPT]}),
    }
    await attempt.finish(thread_status="interrupted", **stored)
    task: Task = await call
    return task


def place(task: Task) -> dict[str, str]:
    return {"contextId": task["contextId"], "taskId": task["id"]}


async def test_a_task_that_asks(agent: Agent) -> None:
    task = await asking(agent)
    assert task["status"]["state"] == "input-required"
    (artifact,) = task["artifacts"]
    assert artifact["name"] == "Interrupt"
    assert artifact["parts"] == [{"kind": "data", "data": {"id": "i1", "value": {"question": "sure?"}}}]
    assert [message["messageId"] for message in task["history"]] == ["m1"]
    again = await agent.result("tasks/get", {"id": task["id"]})
    assert (again["status"]["state"], again["artifacts"]) == ("input-required", task["artifacts"])


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        (says("yes", "m8"), {"resume": "yes"}),
        (gives({"resume": [1]}), {"resume": [1]}),
        (gives({"command": {"resume": 1, "update": {"n": 2}}}), {"resume": 1, "update": {"n": 2}}),
    ],
)
async def test_an_answer_goes_on_with_the_task(agent: Agent, answer: Any, command: Any) -> None:
    task = await asking(agent)
    answer["message"] |= place(task)
    call, attempt = await agent.going("message/send", answer)
    (run, _) = await agent.gateway.json("GET", f"/threads/{attempt.thread}/runs")
    assert (run["kwargs"]["command"], run["kwargs"]["input"]) == (command, None)
    assert (await agent.result("tasks/get", {"id": task["id"]}))["status"]["state"] == "working"
    await attempt.emit("values", HELLO)
    await attempt.finish(state=msgspec.json.encode({"values": HELLO}))
    resumed = await call
    assert (resumed["id"], resumed["status"]["state"]) == (task["id"], "completed")
    assert [message["messageId"] for message in resumed["history"]] == ["m1", "m2"]
    again = await agent.result("tasks/get", {"id": task["id"]})
    assert (again["status"]["state"], again["artifacts"]) == ("completed", resumed["artifacts"])
    # It has one id, not that of the run which answered.
    assert await agent.code("tasks/get", {"id": f"{attempt.thread}:{attempt.run}"}) == -32001


async def test_answers_that_answer_nothing(agent: Agent, client: Client) -> None:
    task = await asking(agent)
    assert await agent.code("message/send", gives({"n": 1}, **place(task))) == -32602
    assert await agent.code("message/send", says("yes", contextId=uuid7(), taskId=task["id"])) == -32602
    assert await agent.code("message/send", says("yes", taskId=f"{task['contextId']}:{uuid7()}")) == -32001
    assert await agent.code("message/send", says("yes", taskId="1")) == -32001
    await publish(client, "g", type="object", properties={})
    assert await agent.code("message/send", says("yes", **place(task))) == -32602
    done = await agent.send(gives({}), {})
    assert await agent.code("message/send", gives({"resume": 1}, **place(done))) == -32602


@pytest.mark.parametrize("configuration", [{"blocking": False}, {"returnImmediately": True}])
async def test_a_task_that_is_asked_after(agent: Agent, configuration: dict[str, bool]) -> None:
    task = await agent.result("message/send", {**says("hello"), "configuration": configuration})
    query = {"id": task["id"]}
    for found in (task, await agent.result("tasks/get", query)):
        assert found["status"]["state"] == "submitted"
        assert [message["messageId"] for message in found["history"]] == ["m1"]
    attempt = await agent.gateway.claim()
    assert (await agent.result("tasks/get", query))["status"]["state"] == "working"
    await attempt.finish(state=msgspec.json.encode({"values": HELLO}))
    found = await agent.result("GetTask", query)
    assert found["status"]["state"] == "TASK_STATE_COMPLETED"
    assert [message["messageId"] for message in found["history"]] == ["m1", "m2"]
    assert found["artifacts"][0]["parts"] == [{"text": "hi there"}]
    assert (await agent.result("tasks/get", {**query, "historyLength": 1}))["history"][0]["messageId"] == "m2"


async def test_a_task_whose_context_has_gone_on(agent: Agent) -> None:
    """The thread's values are others' by now, the task is what it was."""
    first = await agent.send(says("hello"), HELLO)
    values = {"messages": [*HELLO["messages"], human("more", "m3"), ai("that is all", "m4")]}
    await agent.send(says("more", "m3", contextId=first["contextId"]), values)
    found = await agent.result("tasks/get", {"id": first["id"]}, **{"LangGraph-A2A-History-Scope": "task"})
    assert found["status"]["state"] == "completed"
    assert "artifacts" not in found
    assert [message["messageId"] for message in found["history"]] == ["m1", "m2"]


async def test_an_old_task_is_found_behind_many_others(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_FIRST_LOOK", 1)
    task = await asking(agent)
    for _ in range(2):
        await agent.send(says("more", "m3", contextId=task["contextId"]), HELLO)
    # Nobody has answered it, and nobody can any more.
    assert (await agent.result("tasks/get", {"id": task["id"]}))["status"]["state"] == "completed"


async def test_tasks_of_other_agents_and_contexts_are_unknown(agent: Agent, client: Client) -> None:
    task = await agent.send(says("hello"), HELLO)
    assert await agent.code("tasks/get", {"id": task["id"], "contextId": uuid7()}) == -32001
    for task_id in ("", "1", f"{uuid7()}:{uuid7()}", f"{task['contextId']}:{uuid7()}"):
        assert await agent.code("tasks/get", {"id": task_id}) == -32001
    other = await AssistantStore(client).create(AssistantDoc(graph_id="g", name="other"))
    agent.path = f"/a2a/{other.assistant_id}"
    for method in ("tasks/get", "tasks/cancel", "SubscribeToTask"):
        assert await agent.code(method, {"id": task["id"]}, Accept="*/*") == -32001


@pytest.mark.parametrize("begun", [False, True])
async def test_a_task_is_cancelled_once(agent: Agent, begun: bool) -> None:
    task = await agent.result("message/send", {**says("hello"), "configuration": {"blocking": False}})
    attempt = await agent.gateway.claim() if begun else None
    assert (await agent.result("tasks/cancel", {"id": task["id"]}))["status"]["state"] == "canceled"
    assert await agent.code("tasks/cancel", {"id": task["id"]}) == -32002
    if attempt:
        await attempt.finish("interrupted", handled="interrupt")
    assert (await agent.result("GetTask", {"id": task["id"]}))["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_stream_is_taken_up_again(agent: Agent) -> None:
    call, response = await agent.stream("message/stream", says("hello"))
    attempt = await agent.gateway.claim()
    await attempt.emit("messages", [{"type": "AIMessageChunk", "content": "hi ", "id": "m2"}, {}])
    await agent.gateway.watched(attempt.thread)
    response.close()
    call.cancel()
    query = {"id": f"{attempt.thread}:{attempt.run}"}
    again, _ = await agent.stream("SubscribeToTask", query)
    await agent.gateway.watched(attempt.thread)
    await attempt.emit("messages", [{"type": "AIMessageChunk", "content": "there", "id": "m2"}, {}])
    await attempt.emit("values", HELLO)
    await attempt.finish(state=msgspec.json.encode({"values": HELLO}))
    first, *updates, artifact, last = await again
    assert first["task"]["status"]["state"] == "TASK_STATE_WORKING"
    words = [update["statusUpdate"]["status"]["message"]["parts"][0]["text"] for update in updates]
    assert words == ["hi ", "hi there"]
    assert artifact["artifactUpdate"]["artifact"]["parts"] == [{"text": "hi there"}]
    assert last["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"

    whole, _ = await agent.stream("tasks/resubscribe", query)
    task, last = await whole
    assert (task["kind"], task["artifacts"][0]["parts"][0]["text"]) == ("task", "hi there")
    assert (last["status"]["state"], last["final"]) == ("completed", True)


async def test_tasks_are_listed_by_context(agent: Agent) -> None:
    """One that was answered is one, and others' runs on the thread are none of this agent's."""
    asked = await asking(agent)
    context = asked["contextId"]
    await agent.send({"message": {**gives({"resume": 1})["message"], **place(asked)}}, HELLO)
    second = await agent.send(says("more", "m3", contextId=context), HELLO)
    query = {"contextId": context, "pageSize": 1}
    page = await agent.result("ListTasks", query)
    assert [task["id"] for task in page["tasks"]] == [second["id"]]
    assert (page["totalSize"], page["pageSize"]) == (2, 1)
    page = await agent.result("ListTasks", {**query, "pageToken": page["nextPageToken"]})
    assert [task["id"] for task in page["tasks"]] == [asked["id"]]
    assert page["nextPageToken"] == ""
    for status, count in (("TASK_STATE_COMPLETED", 2), ("TASK_STATE_FAILED", 0)):
        assert (await agent.result("ListTasks", {**query, "status": status}))["totalSize"] == count
    for wrong in ({"pageToken": "x"}, {"pageSize": 0}, {"contextId": "x"}, {"contextId": uuid7()}):
        assert await agent.code("ListTasks", {**query, **wrong}) == -32602


async def test_tasks_of_all_contexts_are_listed(agent: Agent) -> None:
    first = await agent.send(says("hello", "m1"), HELLO)
    second = await asking(agent)
    await agent.gateway.create(await agent.gateway.thread())  # a run of nobody's task but the agent's own
    page = await agent.result("ListTasks", {"pageSize": 1, "status": "TASK_STATE_COMPLETED"})
    assert [task["id"] for task in page["tasks"]] == [first["id"]]
    page = await agent.result("ListTasks", {"pageSize": 2})
    assert [task["id"] for task in page["tasks"]][1:] == [second["id"]]
    assert (page["totalSize"], page["nextPageToken"]) == (3, "2")
    page = await agent.result("ListTasks", {"pageToken": "2"})
    assert [task["id"] for task in page["tasks"]] == [first["id"]]
    other = await agent.result("ListTasks", {"contextId": second["contextId"]})
    assert [task["id"] for task in other["tasks"]] == [second["id"]]


async def paused(agent: Agent) -> Task:
    """A task whose graph has stopped at a breakpoint: no event tells so."""
    call, attempt = await agent.going("message/send", says("hello"))
    await attempt.emit("values", {"messages": [human("hello", "m1")]})
    await attempt.finish(thread_status="interrupted", state=msgspec.json.encode({"values": {"messages": []}}))
    task: Task = await call
    return task


async def test_a_task_at_a_breakpoint_waits_to_be_told_to_go_on(agent: Agent) -> None:
    task = await paused(agent)
    again = await agent.result("tasks/get", {"id": task["id"]})
    for shown in (task, again):
        assert shown["status"]["state"] == "input-required"
        (part,) = shown["status"]["message"]["parts"]
        assert "send a message with this taskId to go on" in part["text"]
        assert "artifacts" not in shown
    answer = says("go on", "m9")
    answer["message"] |= place(task)
    call, attempt = await agent.going("message/send", answer)
    (run, _) = await agent.gateway.json("GET", f"/threads/{attempt.thread}/runs")
    assert (run["kwargs"]["command"], run["kwargs"]["input"]) == (None, None)
    await attempt.emit("values", HELLO)
    await attempt.finish(state=msgspec.json.encode({"values": HELLO}))
    assert (await call)["status"]["state"] == "completed"


async def test_a_stream_ends_with_a_breakpoint_too(agent: Agent) -> None:
    stream, _ = await agent.stream("message/stream", says("hello"))
    attempt = await agent.gateway.claim()
    await attempt.emit("values", {"messages": []})
    await attempt.finish(thread_status="interrupted", state=msgspec.json.encode({"values": {"messages": []}}))
    last = (await stream)[-1]
    assert (last["status"]["state"], last["final"]) == ("input-required", True)
