"""Assistants that change: what a new version has of the one before, and the way back to an older one."""

import asyncio
from typing import Any

import msgspec
import pytest

from lineshaft.assistants.assistant import Assistant, AssistantStore
from lineshaft.assistants.document import AssistantChanges, AssistantDoc, change_doc
from lineshaft.assistants.versions import AssistantVersions
from lineshaft.crons.cron import CronFilter, CronStore
from lineshaft.crons.request import CronCreate
from lineshaft.errors import BadRequest, Invalid, NotFound, TooLarge
from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore


@pytest.fixture
def assistants(client: Client) -> AssistantStore:
    return AssistantStore(client)


@pytest.fixture
def versions(client: Client) -> AssistantVersions:
    return AssistantVersions(client)


async def made(assistants: AssistantStore, **fields: Any) -> Assistant:
    return await assistants.create(AssistantDoc(graph_id="g", **fields))


async def numbers(versions: AssistantVersions, assistant_id: str, **page: Any) -> list[int]:
    found = await versions.list(assistant_id, page.pop("metadata", {}), **{"limit": 10, "offset": 0, **page})
    return [version.version for version in found]


TONE = {"configurable": {"tone": "warm"}}


@pytest.mark.parametrize(
    ("before", "changes", "config", "context"),
    [
        ({"config": {"tags": ["a"], "recursion_limit": 9}}, {"config": {"tags": ["b"]}}, {"tags": ["b"]}, {}),
        ({"config": {"tags": ["a"]}}, {"config": {}}, {"tags": ["a"]}, {}),
        ({"config": TONE, "context": {"tone": "warm"}}, {"context": {}}, TONE, {}),
        ({"config": TONE, "context": {"tone": "warm"}}, {"config": {"tags": []}}, {"tags": []}, {"tone": "warm"}),
        ({}, {"config": TONE}, TONE, {"tone": "warm"}),
        ({"config": {"tags": ["a"]}}, {"context": {"tone": "warm"}}, TONE, {"tone": "warm"}),
        ({}, {"config": {"tags": ["a"]}, "context": {"tone": "warm"}}, {"tags": ["a"], **TONE}, {"tone": "warm"}),
        ({}, {"config": {"configurable": {"langgraph_auth_user": 1}}}, {"configurable": {}}, {}),
    ],
)
def test_config_and_context_stay_in_step(
    before: dict[str, Any], changes: dict[str, Any], config: dict[str, Any], context: dict[str, Any]
) -> None:
    after = change_doc(AssistantDoc(graph_id="g", **before), AssistantChanges(**changes))
    assert (after.config, after.context) == (config, context)


def test_metadata_are_merged_and_other_fields_replaced() -> None:
    before = AssistantDoc(graph_id="g", name="n", description="d", metadata={"a": {"x": 1}, "b": 1})
    changes = AssistantChanges(name="", metadata={"a": {"y": None}, "thread_id": "dropped"})
    assert change_doc(before, changes) == AssistantDoc(
        graph_id="g", name="", description="d", metadata={"a": {"y": None}, "b": 1}
    )
    assert change_doc(before, AssistantChanges(graph_id="h", description="")) == AssistantDoc(
        graph_id="h", name="n", description="", metadata={"a": {"x": 1}, "b": 1}
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"config": TONE, "context": {"tone": "cold"}}, BadRequest),
        ({"config": {"tags": "t"}}, Invalid),
        ({"context": {"a\0": 1}}, Invalid),
        ({"metadata": {"a": "x" * 163_000}}, TooLarge),
        ({"config": {"configurable": {"prompt": "x" * 600_000}}}, TooLarge),
        ({"metadata": {"a": [[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]}}, Invalid),
    ],
)
def test_changes_that_cannot_be_made(changes: dict[str, Any], error: type[Exception]) -> None:
    before = AssistantDoc(graph_id="g", metadata={"b": "x" * 1_000})
    with pytest.raises(error):
        change_doc(before, AssistantChanges(**changes))


async def test_every_change_makes_a_version(assistants: AssistantStore, versions: AssistantVersions) -> None:
    first = await made(assistants, name="one", metadata={"step": 1})
    second = await assistants.change(first.assistant_id, AssistantChanges(name="two", metadata={"step": 2}))
    assert (second.version, second.name, second.created_at) == (2, "two", first.created_at)
    assert second.updated_at > first.updated_at
    assert (await assistants.change(first.assistant_id, AssistantChanges())).version == 3
    assert await numbers(versions, first.assistant_id) == [3, 2, 1]
    assert await numbers(versions, first.assistant_id, limit=1, offset=1) == [2]
    assert await numbers(versions, first.assistant_id, metadata={"step": 2}) == [3, 2]
    assert await numbers(versions, first.assistant_id, metadata={"step": 2}, offset=1) == [2]
    (oldest,) = await versions.list(first.assistant_id, {"step": 1}, limit=10, offset=0)
    assert (oldest.name, oldest.created_at, oldest.graph_id) == ("one", first.created_at, "g")
    with pytest.raises(NotFound):
        await numbers(versions, first.assistant_id, offset=3)


async def test_a_replaced_assistant_has_nothing_of_the_version_before(assistants: AssistantStore) -> None:
    first = await made(assistants, name="one", description="d", metadata={"a": 1}, config=TONE)
    second = await assistants.replace(first.assistant_id, AssistantDoc(graph_id="h", metadata={"b": 2}))
    assert (second.version, second.graph_id, second.name, second.description) == (2, "h", "Untitled", None)
    assert (second.metadata, second.config, second.context) == ({"b": 2}, {}, {})


async def test_changes_at_the_same_time_are_all_made(assistants: AssistantStore, versions: AssistantVersions) -> None:
    first = await made(assistants)
    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(assistants.change(first.assistant_id, AssistantChanges(metadata={f"k{n}": n})))
    assert (await assistants.get(first.assistant_id)).metadata == {f"k{n}": n for n in range(8)}
    assert await numbers(versions, first.assistant_id) == [9, 8, 7, 6, 5, 4, 3, 2, 1]


async def test_going_back_restores_all_of_a_version(
    client: Client, assistants: AssistantStore, versions: AssistantVersions
) -> None:
    first = await made(assistants, name="one", config=TONE)
    changes = AssistantChanges(graph_id="h", name="two", context={"tone": "cold"})
    second = await assistants.change(first.assistant_id, changes)
    await versions.restore(first.assistant_id, 1)
    back = await assistants.get(first.assistant_id)
    assert (back.version, back.graph_id, back.name) == (1, "g", "one")
    assert (back.config, back.context) == (TONE, {"tone": "warm"})
    assert back.updated_at > second.updated_at
    # What runs are made of.
    assert await client.command("HGET", client.keys.assistant(first.assistant_id), "graph_id") == b"g"
    assert (await assistants.change(first.assistant_id, AssistantChanges())).version == 3
    for unknown in (0, 4, -1):
        with pytest.raises(NotFound):
            await versions.restore(first.assistant_id, unknown)


async def test_a_deleted_assistant_is_gone_with_its_versions(
    client: Client, assistants: AssistantStore, versions: AssistantVersions
) -> None:
    first = await made(assistants)
    await assistants.delete(first.assistant_id)
    with pytest.raises(NotFound):
        await assistants.delete(first.assistant_id)
    with pytest.raises(NotFound):
        await assistants.change(first.assistant_id, AssistantChanges())
    with pytest.raises(NotFound):
        await versions.restore(first.assistant_id, 1)
    with pytest.raises(NotFound):
        await numbers(versions, first.assistant_id)
    assert await client.command("EXISTS", client.keys.assistant_versions(first.assistant_id)) == 0
    assert await client.command("ZCARD", client.keys.assistants()) == 0


async def test_the_crons_of_a_deleted_assistant_go_with_it(
    client: Client, assistants: AssistantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineshaft.assistants.assistant._CRONS_AT_ONCE", 2)
    first, other = await made(assistants), await made(assistants)
    thread = await ThreadStore(client).create()
    crons = CronStore(client)
    for assistant in (first, first, first, first, first, other):
        document = {"assistant_id": assistant.assistant_id, "schedule": "0 0 1 1 *"}
        for thread_id in (None, thread.thread_id):
            await crons.create(thread_id, msgspec.convert(document, CronCreate), document)
    await assistants.delete(first.assistant_id)
    left = (await crons.search(CronFilter(), limit=100)).rows
    assert [cron.assistant_id for cron in left] == [other.assistant_id] * 2
    keys = client.keys
    assert await client.command("SCARD", keys.crons_of_thread(thread.thread_id)) == 1
    assert await client.command("ZCARD", keys.crons_due()) == 2
    assert await client.command("EXISTS", keys.crons_of_assistant(first.assistant_id)) == 0
