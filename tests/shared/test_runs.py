"""Runs as records: created, listed, read, forgotten."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry
from lineshaft.config.settings import Settings
from lineshaft.errors import Conflict, Invalid, NotFound, TooLarge, TooMany
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import Created, Run, RunStore
from lineshaft.threads.thread import ThreadStore

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


async def make(desk: Desk, thread: str | None, **fields: Any) -> Created:
    request = msgspec.json.decode(msgspec.json.encode({"assistant_id": "g", **fields}), type=RunCreate)
    return await desk.runs.create(thread, request, request_id="q")


def plain(run: Run) -> Any:
    return msgspec.json.decode(msgspec.json.encode(run))


async def test_a_new_run(desk: Desk) -> None:
    thread = await desk.open()
    made = await make(
        desk, thread, input={"a": [1, {}]}, metadata={"k": 1}, stream_mode="updates", stream_resumable=True
    )
    run = plain(made.run)
    assert run == {
        "run_id": run["run_id"],
        "thread_id": thread,
        "assistant_id": system_assistant("g"),
        "metadata": {"created_by": "system", "graph_id": "g", "assistant_id": system_assistant("g"), "k": 1},
        "status": "pending",
        "kwargs": {
            "input": {"a": [1, {}]},
            "command": None,
            "config": run["kwargs"]["config"],
            "context": {},
            "stream_mode": ["updates"],
            "interrupt_before": None,
            "interrupt_after": None,
            "webhook": None,
            "feedback_keys": None,
            "temporary": False,
            "subgraphs": False,
            "resumable": True,
            "checkpoint_during": True,
            "durability": "async",
        },
        "multitask_strategy": "enqueue",
        "created_at": run["created_at"],
        "updated_at": run["created_at"],
        "langsmith_session_name": None,
    }
    assert run["kwargs"]["config"]["metadata"] == run["metadata"]
    assert uuid.UUID(run["run_id"]).version == 7
    assert plain(await desk.runs.get(thread, run["run_id"])) == run
    assert made.position == "0-0"


async def test_the_position_is_that_of_the_creation(desk: Desk) -> None:
    thread = await desk.open()
    await make(desk, thread)
    ((run, token),) = await desk.claim()
    await desk.finish(run, token)
    made = await make(desk, thread)
    assert made.position == await desk.runs.position(thread) != "0-0"
    assert (await desk.runs.record(thread, made.run.run_id)).position == made.position
    assert await desk.runs.position(str(uuid.uuid4())) == "0-0"


async def test_a_run_keeps_the_assistant_and_the_thread_as_they_were(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    await ThreadStore(client).patch(thread, {"of": "thread"})
    made = await make(desk, thread)
    await ThreadStore(client).patch(thread, {"of": "later"})
    assert (await desk.runs.get(thread, made.run.run_id)).metadata["of"] == "thread"


async def test_a_run_makes_its_thread_busy_and_tells_it_its_graph(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    await make(desk, thread, config={"tags": ["t"], "recursion_limit": 9, "configurable": {"x": 1}})
    shown = await ThreadStore(client).get(thread)
    assert shown.status == "busy"
    assert shown.metadata == {"graph_id": "g", "assistant_id": system_assistant("g")}
    assert shown.config == {"tags": ["t"], "recursion_limit": 9, "configurable": {}}


async def test_run_metadata_goes_to_a_thread_that_the_run_makes(desk: Desk, client: Client) -> None:
    await desk.open()
    await GraphRegistry(client).publish(GraphDescriptor(graph_id="g", revision="r", name="g"), "w")
    thread = str(uuid.uuid4())
    with pytest.raises(NotFound, match="Thread or assistant not found"):
        await make(desk, thread)
    made = await make(desk, thread, if_not_exists="create", metadata={"k": 1})
    assert (await ThreadStore(client).get(thread)).metadata["k"] == 1
    await cancel(client, thread, made.run.run_id, "rollback", "test")
    again = await make(desk, thread, if_not_exists="create", metadata={"k": 2})
    assert (await ThreadStore(client).get(thread)).metadata["k"] == 1
    await cancel(client, thread, again.run.run_id, "rollback", "test")


async def test_a_stateless_run_has_a_thread_of_its_own(desk: Desk, client: Client) -> None:
    await desk.open()
    for on_completion, temporary in (("delete", True), ("keep", False)):
        run = (await make(desk, None, on_completion=on_completion)).run
        assert run.kwargs["temporary"] is temporary
        assert (await ThreadStore(client).get(run.thread_id)).status == "busy"
        await ThreadStore(client).delete(run.thread_id)


async def test_assistants_that_are_none(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    await GraphRegistry(client).publish(GraphDescriptor(graph_id="g", revision="r", name="g"), "w")
    with pytest.raises(Invalid, match=r"Invalid assistant: 'nope'\. Use an assistant UUID or a graph: g$"):
        await make(desk, thread, assistant_id="nope")
    with pytest.raises(NotFound, match="Thread or assistant not found"):
        await make(desk, thread, assistant_id=str(uuid.uuid4()))
    with pytest.raises(NotFound, match="Thread or assistant not found"):
        await make(desk, str(uuid.uuid4()))
    assert (await make(desk, thread, assistant_id=system_assistant("g").upper())).run.assistant_id == system_assistant(
        "g"
    )


async def test_a_graph_that_does_not_load_takes_no_runs(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    await AssistantStore(client).ensure_system("broken", "broken", None)
    descriptor = GraphDescriptor(graph_id="broken", revision="r", name="broken", error="No module named 'x'")
    await GraphRegistry(client).publish(descriptor, "w")
    with pytest.raises(Invalid, match="Graph broken does not load: No module named 'x'"):
        await make(desk, thread, assistant_id="broken")


async def test_a_thread_takes_only_so_many_waiting_runs(desk: Desk) -> None:
    thread = await desk.open()
    for _ in range(100):
        await make(desk, thread)
    with pytest.raises(TooMany, match="100 runs already wait on this thread"):
        await make(desk, thread)


async def test_pages_newest_first(desk: Desk) -> None:
    thread = await desk.open()
    assert await desk.runs.page(thread, limit=10, offset=0) == []
    runs = [(await make(desk, thread)).run.run_id for _ in range(5)]
    for status in ("success", "error"):
        ((run, token),) = await desk.claim()
        await desk.finish(run, token, status)
    newest_first = runs[::-1]

    async def ids(**query: Any) -> list[str]:
        return [run.run_id for run in await desk.runs.page(thread, **{"limit": 10, "offset": 0, **query})]

    assert await ids() == newest_first
    assert await ids(limit=2, offset=1) == newest_first[1:3]
    assert await ids(offset=5) == []
    assert await ids(status="success") == [runs[0]]
    assert await ids(status="error") == [runs[1]]
    assert await ids(status="pending", limit=1, offset=1) == [runs[3]]
    assert await ids(status="nope") == []
    with pytest.raises(NotFound):
        await desk.runs.page(str(uuid.uuid4()), limit=1, offset=0)


async def test_a_run_of_another_thread_is_not_found(desk: Desk) -> None:
    thread, other = await desk.open(), await desk.open()
    run = (await make(desk, thread)).run.run_id
    for question in (desk.runs.get(other, run), desk.runs.record(other, run), desk.runs.forget(other, run)):
        with pytest.raises(NotFound, match=f"Run with ID {run} not found"):
            await question
    with pytest.raises(NotFound):
        await desk.runs.get(thread, str(uuid.uuid4()))


async def test_the_record_follows_the_runs_life(desk: Desk) -> None:
    thread = await desk.open()
    run = (await make(desk, thread)).run.run_id
    record = await desk.runs.record(thread, run)
    assert (record.status, record.is_active, record.first, record.wrote) == ("pending", True, "", False)
    ((_, token),) = await desk.claim()
    record = await desk.runs.record(thread, run)
    assert (record.status, record.is_active, bool(record.first)) == ("running", True, True)
    await cancel(desk.client, thread, run, "interrupt", "test")
    record = await desk.runs.record(thread, run)
    # Ended for clients; its worker has yet to stop it.
    assert (record.visible_status, record.is_active) == ("interrupted", True)
    await desk.finish(run, token, "interrupted", handled="interrupt")
    assert not (await desk.runs.record(thread, run)).is_active


async def test_a_run_is_forgotten_only_when_it_is_over(desk: Desk) -> None:
    thread = await desk.open()
    run = (await make(desk, thread)).run.run_id
    with pytest.raises(Conflict, match="not over"):
        await desk.runs.forget(thread, run)
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    await desk.runs.forget(thread, run)
    with pytest.raises(NotFound):
        await desk.runs.forget(thread, run)
    assert await desk.runs.page(thread, limit=10, offset=0) == []


async def test_a_run_outlives_its_input(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    run = (await make(desk, thread, input={"a": 1})).run.run_id
    await client.command("DEL", client.keys.run_input(run))
    assert plain(await desk.runs.get(thread, run))["kwargs"]["input"] is None


@pytest.mark.parametrize("size", [10, 300_000])
async def test_a_creation_repeated_after_a_lost_answer_keeps_its_input(desk: Desk, client: Client, size: int) -> None:
    thread = await desk.open()
    original = client.after

    async def twice(*args: Any, **named: Any) -> Any:
        await original(*args, **named)
        return await original(*args, **named)

    client.after = twice  # type: ignore[method-assign]  # the same call sent again
    run = (await make(desk, thread, input="x" * size)).run.run_id
    client.after = original  # type: ignore[method-assign]
    assert await client.command("TTL", client.keys.run_input(run)) == -1
    assert plain(await desk.runs.get(thread, run))["kwargs"]["input"] == "x" * size


async def test_slices_of_a_refused_run_go_by_themselves(desk: Desk, client: Client) -> None:
    thread = await desk.open()
    await make(desk, thread)
    with pytest.raises(Conflict):
        await make(desk, thread, input="x" * 300_000, multitask_strategy="reject")
    left = [key async for key in client.redis.scan_iter(match=client.keys.run_input("*"))]
    kept, refused = sorted([await client.command("TTL", key) for key in left])
    assert kept == -1 and 0 < refused <= 60


async def test_a_thread_keeps_its_newest_runs(redis_uri: str, client: Client) -> None:
    few = Client(Settings(redis_uri=redis_uri, lineshaft_runs_kept_per_thread=3))
    desk = Desk(few)
    thread = await desk.open()
    runs = []
    for _ in range(5):
        runs.append((await make(desk, thread)).run.run_id)
        ((run, token),) = await desk.claim()
        await desk.finish(run, token)
    await make(desk, thread)
    kept = [run.run_id for run in await RunStore(client).page(thread, limit=10, offset=0)]
    assert kept[1:] == runs[:2:-1]
    assert await client.command("EXISTS", *(client.keys.run(run) for run in runs[:3])) == 0
    await desk.leave()
    await few.close()


async def test_what_a_run_carries_besides_its_input_has_a_limit(desk: Desk) -> None:
    with pytest.raises(TooLarge, match="limit: 1048576"):
        await desk.create(await desk.open(), context={"a": "x" * 1024 * 1024})
