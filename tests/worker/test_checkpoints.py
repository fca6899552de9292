"""The checkpointer beyond the conformance suite: forks, order, rev, large values, DeltaChannel, deletion, threads."""

import asyncio
import operator
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from lineshaft.errors import Conflict, TooLarge
from lineshaft.redis.client import Client
from lineshaft_worker import checkpoint_codec
from lineshaft_worker.checkpoints import RedisSaver

THREAD = "00000000-0000-7000-8000-000000000001"
ROOT: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


@pytest.fixture
async def saver(client: Client) -> RedisSaver:
    await client.redis.execute_command("HSET", client.keys.thread(THREAD), "id", THREAD)
    return RedisSaver(client)


async def keys_of_thread(client: Client) -> set[str]:
    return {key.decode() async for key in client.redis.scan_iter(f"ls:thread:{THREAD}:*")}


async def rev(client: Client) -> int:
    return int(await client.redis.execute_command("HGET", client.keys.thread(THREAD), "rev") or 0)


def steps(*names: str) -> StateGraph[Log]:
    graph = StateGraph(Log)
    for name in names:
        graph.add_node(name, lambda _, name=name: {"log": [name]})
    graph.add_edge(START, names[0])
    for name, following in pairwise(names):
        graph.add_edge(name, following)
    return graph


async def put(saver: RedisSaver, values: dict[str, Any], config: Any = ROOT) -> Any:
    checkpoint = empty_checkpoint()
    versions = {channel: saver.get_next_version(None) for channel in values}
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, dict(versions)
    return await saver.aput(config, checkpoint, {"source": "loop", "step": 0, "parents": {}}, dict(versions))


async def test_a_fork_leaves_the_old_branch_as_it_was(saver: RedisSaver) -> None:
    graph = steps("a", "b").compile(checkpointer=saver)
    await graph.ainvoke({"log": ["in"]}, ROOT)
    old_head = (await graph.aget_state(ROOT)).config
    before_b = [s async for s in graph.aget_state_history(ROOT)][1].config
    await graph.aupdate_state(before_b, {"log": ["forked"]}, as_node="a")
    assert (await graph.aget_state(old_head)).values == {"log": ["in", "a", "b"]}
    assert (await graph.aget_state(ROOT)).values == {"log": ["in", "a", "forked"]}


async def test_versions_rise_and_never_meet(saver: RedisSaver) -> None:
    versions = [saver.get_next_version("00000009.ffffffff") for _ in range(100)]
    assert len(set(versions)) == 100
    assert all(version.startswith("0000000a.") for version in versions)


async def test_pending_writes_come_in_the_order_of_their_tasks(saver: RedisSaver) -> None:
    config = await put(saver, {"x": 1})
    await saver.aput_writes(config, [("x", 5), ("y", 6)], "task-a", "~z")
    await saver.aput_writes(config, [("x", 3)], "task-c", "~b")
    await saver.aput_writes(config, [("x", 1)], "task-d", "")
    found = await saver.aget_tuple(ROOT)
    assert found is not None
    assert found.pending_writes == [("task-d", "x", 1), ("task-c", "x", 3), ("task-a", "x", 5), ("task-a", "y", 6)]


async def test_the_first_write_stands_but_a_special_one_is_replaced(saver: RedisSaver) -> None:
    config = await put(saver, {"x": 1})
    for value in ("first", "second"):
        await saver.aput_writes(config, [("x", value), ("__interrupt__", value)], "task")
    found = await saver.aget_tuple(ROOT)
    assert found is not None
    assert found.pending_writes == [("task", "__interrupt__", "second"), ("task", "x", "first")]


async def test_every_checkpoint_write_raises_the_rev(client: Client, saver: RedisSaver) -> None:
    config = await put(saver, {"x": 1})
    assert await rev(client) == 1
    await saver.aput_writes(config, [("x", 1)], "task")
    assert await rev(client) == 2
    await saver.adelete_thread(THREAD)
    assert await rev(client) == 3


async def test_a_write_for_a_thread_that_is_gone_brings_no_record_back(client: Client, saver: RedisSaver) -> None:
    await client.redis.delete(client.keys.thread(THREAD))
    await put(saver, {"x": 1})
    assert not await client.redis.exists(client.keys.thread(THREAD))
    await saver.adelete_thread(THREAD)


SIZES = [300 * 1024, 1024 * 1024 - 20, 3 * 1024 * 1024 + 5]


@pytest.mark.parametrize("size", SIZES)
async def test_large_values_go_in_slices_and_come_back_whole(client: Client, saver: RedisSaver, size: int) -> None:
    blob, written = os.urandom(size), os.urandom(size)
    config = await put(saver, {"blob": blob, "small": 1})
    await saver.aput_writes(config, [("blob", written), ("__error__", "text")], "task\0x", "~path")
    found = await saver.aget_tuple(ROOT)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"blob": blob, "small": 1}
    assert found.pending_writes == [("task\0x", "__error__", "text"), ("task\0x", "blob", written)]
    listed = [found async for found in saver.alist(ROOT)]
    assert listed[0] == found
    for key in await keys_of_thread(client):
        assert await client.redis.ttl(key) == -1, key
        if ":large:" in key:
            assert max(map(len, await client.redis.execute_command("HVALS", key))) <= 1024 * 1024
    await saver.adelete_thread(THREAD)
    assert await keys_of_thread(client) == set()


async def test_slices_that_no_checkpoint_names_expire(client: Client, saver: RedisSaver) -> None:
    config = await put(saver, {"x": 1})
    await saver.aput_writes(config, [("x", "stands")], "task")
    await saver.aput_writes(config, [("x", os.urandom(300 * 1024))], "task")
    orphans = [key for key in await keys_of_thread(client) if ":large:" in key]
    assert len(orphans) == 1
    assert 0 < await client.redis.ttl(orphans[0]) <= 3600


async def test_many_channels_and_writes_come_in_parts(saver: RedisSaver) -> None:
    values = {f"channel {i}": [i] * 100 for i in range(5_000)}
    config = await put(saver, values)
    for task in range(3):
        await saver.aput_writes(config, [(f"channel {i}", i) for i in range(700)], f"task {task}", f"~{task}")
    found = await saver.aget_tuple(ROOT)
    assert found is not None
    assert found.checkpoint["channel_values"] == values
    assert found.pending_writes == [(f"task {t}", f"channel {i}", i) for t in range(3) for i in range(700)]


async def test_many_medium_values_are_more_than_one_reply_carries(saver: RedisSaver) -> None:
    values = {f"channel {i}": os.urandom(200 * 1024) for i in range(12)}
    await put(saver, values)
    found = await saver.aget_tuple(ROOT)
    assert found is not None
    assert found.checkpoint["channel_values"] == values


async def test_a_step_over_the_limit_is_refused(
    client: Client, saver: RedisSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_codec, "_MAX_BYTES", 2 * 1024 * 1024)
    with pytest.raises(TooLarge, match="more than 2 MiB, the limit of a checkpoint"):
        await put(saver, {f"channel {i}": os.urandom(600_000) for i in range(4)})
    assert await keys_of_thread(client) == set()


async def test_the_history_pages_through_all_checkpoints(saver: RedisSaver) -> None:
    config = ROOT
    made = []
    for i in range(45):
        config = await put(saver, {"n": i}, config)
        made.append(config["configurable"]["checkpoint_id"])
    found = [t async for t in saver.alist(ROOT)]
    assert [t.config["configurable"]["checkpoint_id"] for t in found] == made[::-1]
    assert [t.checkpoint["channel_values"]["n"] for t in found] == list(range(44, -1, -1))
    some = [t async for t in saver.alist(ROOT, filter={"step": 0}, before=found[10].config, limit=25)]
    assert some == found[11:36]


def add(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(item for write in writes for item in write)]


class Deltas(TypedDict):
    log: Annotated[list[str], DeltaChannel(add, snapshot_frequency=4)]


def delta_graph() -> StateGraph[Deltas]:
    graph = StateGraph(Deltas)
    graph.add_node("fan", lambda _: Command(goto=[Send("leaf", i) for i in range(5)]))
    graph.add_node("leaf", lambda i: {"log": [f"leaf {i}"]})
    graph.add_edge(START, "fan")
    return graph


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_delta_channels_are_rebuilt_from_the_writes(saver: RedisSaver, durability: Any) -> None:
    graph = delta_graph().compile(checkpointer=saver)
    expected: list[str] = []
    for turn in range(6):
        await graph.ainvoke({"log": [f"turn {turn}"]}, ROOT, durability=durability)
        expected += [f"turn {turn}", *(f"leaf {i}" for i in range(5))]
        assert (await graph.aget_state(ROOT)).values == {"log": expected}


async def test_pruning_keeps_what_the_latest_needs(client: Client, saver: RedisSaver) -> None:
    graph = steps("a", "b", "c").compile(checkpointer=saver)
    for _ in range(3):
        await graph.ainvoke({"log": [os.urandom(300_000).hex()]}, ROOT)
    before = await graph.aget_state(ROOT)
    await saver.aprune([THREAD])
    assert (await graph.aget_state(ROOT)).values == before.values
    versions = await client.redis.execute_command("HLEN", client.keys.checkpoint_blobs(THREAD, ""))
    assert versions <= len((await saver.aget_tuple(ROOT)).checkpoint["channel_versions"])  # type: ignore[union-attr]
    large = [key for key in await keys_of_thread(client) if ":large:" in key]
    assert len(large) == 1


async def test_pruning_refuses_to_cut_a_delta_channel_off(saver: RedisSaver) -> None:
    graph = delta_graph().compile(checkpointer=saver)
    await graph.ainvoke({"log": ["turn"]}, ROOT)
    before = await graph.aget_state(ROOT)
    with pytest.raises(Conflict, match="DeltaChannel"):
        await saver.aprune([THREAD])
    assert await graph.aget_state(ROOT) == before


async def test_a_copy_outlives_its_source(saver: RedisSaver) -> None:
    config = await put(saver, {"blob": (blob := os.urandom(400_000))})
    await saver.aput_writes(config, [("blob", (written := os.urandom(400_000)))], "task")
    await saver.acopy_thread(THREAD, "copy")
    await saver.adelete_thread(THREAD)
    found = await saver.aget_tuple({"configurable": {"thread_id": "copy"}})
    assert found is not None
    assert found.checkpoint["channel_values"] == {"blob": blob}
    assert found.pending_writes == [("task", "blob", written)]


async def test_deleting_a_thread_leaves_no_key(client: Client, saver: RedisSaver) -> None:
    inner = steps("a", "b").compile(checkpointer=True)
    graph = StateGraph(Log)
    graph.add_node("inner", inner)
    graph.add_node("ask", lambda _: {"log": [interrupt("?")]})
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "ask")
    await graph.compile(checkpointer=saver).ainvoke({"log": [os.urandom(300_000).hex()]}, ROOT)
    # Writes may come before their checkpoint, which then never comes because the worker died.
    await saver.aput_writes({"configurable": {**ROOT["configurable"], "checkpoint_id": "never"}}, [("x", 1)], "task")
    assert len(await keys_of_thread(client)) > 8
    await saver.adelete_thread(THREAD)
    assert await keys_of_thread(client) == set()


async def test_a_plain_function_node_may_invoke_a_graph_on_the_same_checkpointer(saver: RedisSaver) -> None:
    inner = steps("a", "b").compile(checkpointer=saver)
    graph = StateGraph(Log)
    other: Any = {"configurable": {"thread_id": "other"}}
    graph.add_node("outer", lambda state: {"log": inner.invoke({"log": state["log"]}, other)["log"]})
    graph.add_edge(START, "outer")
    result = await graph.compile(checkpointer=saver).ainvoke({"log": ["in"]}, ROOT)
    assert result == {"log": ["in", "in", "a", "b"]}
    history = await asyncio.to_thread(lambda: list(inner.get_state_history(other)))
    assert len(history) == 4


async def test_a_synchronous_call_on_the_loop_says_what_to_do(saver: RedisSaver) -> None:
    with pytest.raises(asyncio.InvalidStateError, match="await aget_tuple"):
        saver.get_tuple(ROOT)
