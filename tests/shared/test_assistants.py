"""The store of assistants: the ones of graphs, created ones, searches."""

import asyncio
import time
import uuid
from typing import Any

import pytest

from lineshaft.assistants.assistant import AssistantFilter, AssistantStore
from lineshaft.assistants.document import AssistantDoc
from lineshaft.errors import BadRequest, Conflict, Invalid, NotFound
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client

from .until import until


@pytest.fixture
def assistants(client: Client) -> AssistantStore:
    return AssistantStore(client)


def redis(client: Client) -> Any:
    return client.redis  # redis-py's annotations say of every command that it may also not be awaitable


async def test_a_graphs_own_assistant(client: Client, assistants: AssistantStore) -> None:
    await assistants.ensure_system("echo", "echo", None)
    found = await assistants.get("046b5dc7-2108-582c-9c6c-31d556d138f0")
    assert (found.graph_id, found.name, found.description, found.version) == ("echo", "echo", None, 1)
    assert found.metadata == {"created_by": "system"}
    assert found.config == found.context == {}
    assert found.created_at == found.updated_at
    assert await redis(client).hget(client.keys.assistant(found.assistant_id), "graph_id") == b"echo"

    await assistants.ensure_system("echo", "echo", None)
    assert await assistants.get(found.assistant_id) == found

    await assistants.ensure_system("echo", "Echo", "says it again")
    changed = await assistants.get(found.assistant_id)
    assert (changed.name, changed.description, changed.version) == ("Echo", "says it again", 2)
    assert changed.updated_at > changed.created_at == found.created_at
    versions = await redis(client).hgetall(client.keys.assistant_versions(found.assistant_id))
    assert sorted(versions) == [b"1", b"2"]


async def test_many_workers_start_at_once(assistants: AssistantStore) -> None:
    await assistants.ensure_system("g", "old", None)
    await asyncio.gather(*(assistants.ensure_system("g", "new", None) for _ in range(10)))
    found = await assistants.get(system_assistant("g"))
    assert (found.name, found.version) == ("new", 2)


async def test_create(assistants: AssistantStore) -> None:
    sent = AssistantDoc(
        graph_id="echo", name="", metadata={"a": 1, "run_id": "x"},
        config={"tags": ["t"], "more": 1, "configurable": {"tone": "warm", "langgraph_auth_user": "root"}},
    )  # fmt: skip
    made = await assistants.create(sent)
    assert made.name == "Untitled"
    assert made.metadata == {"a": 1}
    assert made.config == {"tags": ["t"], "more": 1, "configurable": {"tone": "warm"}}
    assert made.context == {"tone": "warm"}
    assert await assistants.get(made.assistant_id) == made

    mirrored = await assistants.create(AssistantDoc(graph_id="echo", context={"k": 1}))
    assert mirrored.config == {"configurable": {"k": 1}}
    empty = await assistants.create(AssistantDoc(graph_id="echo", config={"configurable": {}}, context={"k": 1}))
    assert empty.context == {"k": 1}


async def test_what_cannot_be_created(assistants: AssistantStore) -> None:
    with pytest.raises(BadRequest):
        await assistants.create(AssistantDoc(graph_id="e", config={"configurable": {"a": 1}}, context={"b": 1}))
    bad: list[dict[str, Any]] = [{"tags": "t"}, {"recursion_limit": "5"}, {"configurable": []}, {"a\0": 1}]
    for config in bad:
        with pytest.raises(Invalid):
            await assistants.create(AssistantDoc(graph_id="e", config=config))
    with pytest.raises(NotFound):
        await assistants.get(str(uuid.uuid4()))


async def test_an_id_is_used_once(assistants: AssistantStore) -> None:
    first = await assistants.create(AssistantDoc(graph_id="e"))
    with pytest.raises(Conflict):
        await assistants.create(AssistantDoc(graph_id="e"), first.assistant_id)
    again = await assistants.create(AssistantDoc(graph_id="f"), first.assistant_id, if_exists="do_nothing")
    assert again == first


async def next_millisecond() -> None:
    began = time.time_ns() // 1_000_000
    await until(lambda: time.time_ns() // 1_000_000 > began, "the next millisecond")


async def test_search_and_count(client: Client, assistants: AssistantStore) -> None:
    made = []
    for name, graph in (("Beta one", "echo"), ("alpha two", "echo"), ("Gamma", "counter")):
        await next_millisecond()  # those of one millisecond have no order
        made.append(await assistants.create(AssistantDoc(graph_id=graph, name=name, metadata={"deep": {"x": name}})))
        await redis(client).hset(client.keys.assistant(made[-1].assistant_id), "created", len(made))
        # Those made in one millisecond would stand in the order of their ids.
        await redis(client).zadd(client.keys.assistants(), {made[-1].assistant_id: len(made)})

    async def names(where: AssistantFilter, **paging: Any) -> list[str]:
        return [row.name for row in (await assistants.search(where, **paging)).rows]

    every = AssistantFilter()
    assert await names(every) == ["Gamma", "alpha two", "Beta one"]
    assert await names(every, sort_by="name") == ["Gamma", "Beta one", "alpha two"]
    assert await names(every, sort_by="graph_id", descending=False) == ["Gamma", "Beta one", "alpha two"]
    assert await names(AssistantFilter(graph_id="echo")) == ["alpha two", "Beta one"]
    assert await names(AssistantFilter(name="TWO")) == ["alpha two"]
    assert await names(AssistantFilter(metadata={"deep": {"x": "Gamma"}})) == ["Gamma"]
    assert await names(every, limit=2, offset=1) == ["alpha two", "Beta one"]
    page = await assistants.search(every, limit=2)
    assert (page.next, page.total) == (2, 3)
    assert await assistants.count(AssistantFilter(graph_id="echo")) == 2
