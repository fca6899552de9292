"""Which queue a run goes to: its own choice, else its assistant's, else its graph's, else `runs`."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.document import AssistantChanges, AssistantDoc
from lineshaft.assistants.versions import AssistantVersions
from lineshaft.config.executor import ExecutorConfig, QueueConfig
from lineshaft.crons.cron import CronStore
from lineshaft.crons.request import CronCreate
from lineshaft.errors import Invalid
from lineshaft.queues.control import drain, read_states, resume
from lineshaft.redis.client import Client
from lineshaft.runs.config import effective
from lineshaft.runs.request import RunCreate

from .runs import Desk

EXECUTOR = ExecutorConfig(queues={"interactive": QueueConfig(graphs=("g",)), "batch": QueueConfig()})


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=EXECUTOR)
    desk = Desk(client)
    yield desk
    await desk.leave()


def chosen(**choice: Any) -> dict[str, Any]:
    return {"config": {"configurable": {f"lineshaft_{name}": value for name, value in choice.items()}}}


async def test_the_nearest_choice_wins(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    await AssistantStore(client).ensure_system("other", "other", None)
    assistant = await AssistantStore(client).create(
        AssistantDoc(graph_id="g", config={"configurable": {"lineshaft_queue": "batch", "lineshaft_priority": -2}})
    )
    mine = {"assistant_id": assistant.assistant_id}
    for fields, queue, priority in [
        ({"assistant_id": "other"}, "runs", None),
        ({}, "interactive", None),
        (mine, "batch", "-2"),
        ({**mine, **chosen(queue="runs", priority=5)}, "runs", "5"),
        ({**mine, **chosen(priority=0)}, "batch", None),
        ({**mine, "context": {"lineshaft_queue": "interactive"}}, "interactive", "-2"),
    ]:
        run = await desk.create(thread, **fields)
        assert (await desk.field(run, "queue"), await desk.field(run, "priority")) == (queue, priority)


async def test_a_new_version_of_an_assistant_chooses_anew(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    store = AssistantStore(client)
    made = await store.create(AssistantDoc(graph_id="g", config={"configurable": {"lineshaft_queue": "batch"}}))
    mine = {"assistant_id": made.assistant_id}
    await store.change(made.assistant_id, AssistantChanges(config={"configurable": {"lineshaft_queue": "runs"}}))
    assert await desk.field(await desk.create(thread, **mine), "queue") == "runs"
    await store.replace(made.assistant_id, AssistantDoc(graph_id="g"))
    assert await desk.field(await desk.create(thread, **mine), "queue") == "interactive"
    await AssistantVersions(client).restore(made.assistant_id, 1)
    assert await desk.field(await desk.create(thread, **mine), "queue") == "batch"


async def test_a_batch_follows_the_same_rule(client: Client, desk: Desk) -> None:
    await desk.open()
    wanted: list[dict[str, Any]] = [{}, chosen(queue="batch", priority=1)]
    requests = [msgspec.convert({"assistant_id": "g", **fields}, RunCreate) for fields in wanted]
    made = await desk.runs.create_batch(requests)
    for created, queue in zip(made, ("interactive", "batch"), strict=True):
        desk.adopt(created.run.thread_id)
        assert await desk.field(created.run.run_id, "queue") == queue
    await drain(client, "batch")
    before = await client.command("DBSIZE")
    with pytest.raises(Exception, match="Queue batch is being drained"):
        await desk.runs.create_batch(requests)
    assert await client.command("DBSIZE") == before, "a batch is all of its runs or none"
    await resume(client, "batch")


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ({"queue": "bacth"}, "there is no queue 'bacth'. Queues: batch, interactive, runs"),
        ({"queue": "overflow"}, "there is no queue 'overflow'"),
        ({"queue": 3}, "there is no queue 3"),
        ({"priority": 6}, "expected a whole number from -5 to 5, got 6"),
        ({"priority": True}, "got True"),
        ({"priority": "high"}, "got 'high'"),
    ],
)
async def test_a_choice_that_there_is_not_is_refused_everywhere(
    client: Client, desk: Desk, choice: dict[str, Any], why: str
) -> None:
    thread = await desk.open()
    fields = chosen(**choice)
    with pytest.raises(Invalid) as by_run:
        await desk.create(thread, **fields)
    with pytest.raises(Invalid) as by_assistant:
        await AssistantStore(client).create(AssistantDoc(graph_id="g", **fields))
    cron = {"assistant_id": "g", "schedule": "* * * * *", **fields}
    with pytest.raises(Invalid) as by_cron:
        await CronStore(client).create(None, msgspec.convert(cron, CronCreate), cron)
    for refused in (by_run, by_assistant, by_cron):
        assert why in str(refused.value)


async def test_an_assistant_whose_queue_was_taken_away_says_which_there_are(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    made = await AssistantStore(client).create(
        AssistantDoc(graph_id="g", config={"configurable": {"lineshaft_queue": "batch"}})
    )
    settings = msgspec.structs.replace(client.settings, lineshaft_executor=ExecutorConfig())
    client.settings = settings
    with pytest.raises(Invalid, match=r"no queue batch, which the assistant asks for\. Queues: runs"):
        await desk.create(thread, assistant_id=made.assistant_id)


async def test_queues_are_known_before_and_after_they_are_used(client: Client, desk: Desk) -> None:
    assert [state.name for state in await read_states(client)] == ["batch", "interactive", "runs"]
    await desk.create(await desk.open())
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=ExecutorConfig())
    assert [state.name for state in await read_states(client)] == ["interactive", "runs"]


async def test_a_choice_is_no_part_of_the_context_that_a_graph_declares(desk: Desk) -> None:
    run = await desk.create(
        await desk.open(), context={"tone": "dry"}, config={"configurable": {"lineshaft_priority": 3}}
    )
    record = await desk.runs.record(str(await desk.field(run, "thread")), run)
    merged = effective(record.spec, b"{}", b"{}", run_id=run, thread_id="t", graph_id="g")
    assert merged.context == {"tone": "dry"}
    assert merged.config["configurable"]["lineshaft_priority"] == 3
