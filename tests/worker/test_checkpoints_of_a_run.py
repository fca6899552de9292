"""A run's checkpointer: its writes are fenced and can be taken back, and it knows the head that it wrote."""

import operator
import os
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Durability, interrupt
from typing_extensions import TypedDict

from lineshaft.errors import Conflict, Fenced
from lineshaft.redis.client import Client
from lineshaft_worker.checkpoints import RedisSaver

THREAD = "00000000-0000-7000-8000-000000000001"
ROOT: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
DURABILITIES = ["sync", "async", "exit"]


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


@pytest.fixture
async def saver(client: Client) -> RedisSaver:
    await client.redis.execute_command("HSET", client.keys.thread(THREAD), "id", THREAD)
    return RedisSaver(client)


async def start(client: Client, saver: RedisSaver, run_id: str) -> RedisSaver:
    await client.redis.execute_command("HSET", client.keys.run(run_id), "token", "1.w", "thread", THREAD)
    return saver.for_run(run_id, "1.w")


async def dump(client: Client) -> dict[str, Any]:
    """All that is stored for the thread, but for its record."""
    reads = {b"hash": ("HGETALL",), b"set": ("SMEMBERS",), b"zset": ("ZRANGE", 0, -1)}
    found = {}
    async for key in client.redis.scan_iter(f"ls:thread:{THREAD}:*"):
        command, *rest = reads[await client.redis.type(key)]
        found[key.decode()] = await client.redis.execute_command(command, key, *rest)
    return found


def plain(found: CheckpointTuple | None) -> Any:
    """With tuples as the lists as which they are stored."""
    assert found is not None
    assert found.pending_writes is not None
    writes = [(t, c, list(v) if isinstance(v, tuple) else v) for t, c, v in found.pending_writes]
    return found._replace(pending_writes=writes)


def approval() -> StateGraph[Log]:
    graph = StateGraph(Log)
    graph.add_node("ask", lambda _: {"log": [f"answered {interrupt('first')} {interrupt('second')}"]})
    graph.add_node("after", lambda _: {"log": ["after"]})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "after")
    return graph


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_a_stale_token_writes_nothing(client: Client, saver: RedisSaver, durability: Durability) -> None:
    rev_at_theft: list[Any] = []

    async def steal(_: Any) -> Any:
        pipe = client.redis.pipeline(transaction=True)
        pipe.hset(client.keys.run("run"), "token", "2.other")
        pipe.hget(client.keys.thread(THREAD), "rev")
        rev_at_theft.append((await pipe.execute())[1])
        return {"log": [os.urandom(300_000).hex()]}

    graph: Any = StateGraph(Log)
    graph.add_node("steal", steal)
    graph.add_node("more", lambda _: {"log": ["more"]})
    graph.add_edge(START, "steal")
    graph.add_edge("steal", "more")
    run = await start(client, saver, "run")
    with pytest.raises(Fenced):
        await graph.compile(checkpointer=run).ainvoke({"log": ["in"]}, ROOT, durability=durability)
    # Every checkpoint write raises the rev. Slices of large values come unfenced; nothing names them, and they expire.
    assert await client.redis.execute_command("HGET", client.keys.thread(THREAD), "rev") == rev_at_theft[0]
    state = await graph.compile(checkpointer=saver).aget_state(ROOT)
    assert state.values.get("log", []) in ([], ["in"])


async def test_the_first_write_marks_the_run(client: Client, saver: RedisSaver) -> None:
    run = await start(client, saver, "run")
    assert run.rev == 0
    graph = approval().compile(checkpointer=run)
    await graph.ainvoke({"log": ["in"]}, ROOT)
    assert await client.redis.execute_command("HGET", client.keys.run("run"), "wrote") == b"1"
    assert run.rev == int(await client.redis.execute_command("HGET", client.keys.thread(THREAD), "rev"))
    members = await client.redis.execute_command("SMEMBERS", client.keys.run_checkpoints("run"))
    ids = [s.config["configurable"]["checkpoint_id"] async for s in graph.aget_state_history(ROOT)]
    assert members == {f"{THREAD}\0\0{id_}".encode() for id_ in ids}


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("large", [False, True])
async def test_a_rollback_puts_everything_back(
    client: Client, saver: RedisSaver, durability: Durability, large: bool
) -> None:
    graph = approval().compile(checkpointer=await start(client, saver, "one"))
    await graph.ainvoke({"log": [os.urandom(300_000).hex() if large else "in"]}, ROOT, durability=durability)
    before = await dump(client)
    answers = [os.urandom(400_000).hex() if large else "yes", "no"]
    for run_id, answer in zip(("two", "three"), answers, strict=True):
        graph.checkpointer = await start(client, saver, run_id)
        await graph.ainvoke(Command(resume=answer), ROOT, durability=durability)
    graph.checkpointer = saver
    assert (await graph.aget_state(ROOT)).values["log"][1:] == [f"answered {answers[0]} no", "after"]
    for run_id in ("three", "two"):
        await saver.for_run(run_id, "1.w").rollback(run_id)
    assert await dump(client) == before
    assert [i.value for i in (await graph.aget_state(ROOT)).interrupts] == ["first"]
    for run_id in ("two", "three"):
        assert not await client.redis.exists(client.keys.run_checkpoints(run_id), client.keys.run_kept_writes(run_id))


async def test_a_rollback_of_a_first_run_leaves_nothing(client: Client, saver: RedisSaver) -> None:
    run = await start(client, saver, "run")
    await approval().compile(checkpointer=run).ainvoke({"log": [os.urandom(300_000).hex()]}, ROOT)
    early: Any = {"configurable": {**ROOT["configurable"], "checkpoint_id": "never"}}
    await run.aput_writes(early, [("log", ["x"])], "task")
    await run.rollback("run")
    assert await dump(client) == {}
    assert await run.aget_tuple(ROOT) is None


async def test_a_long_rollback_goes_in_parts(client: Client, saver: RedisSaver) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("again", lambda state: Command(goto="again") if len(state["log"]) < 3 else None)
    graph.add_edge(START, "again")
    run = await start(client, saver, "run")
    with pytest.raises(RecursionError):
        await graph.compile(checkpointer=run).ainvoke({"log": ["in"]}, {**ROOT, "recursion_limit": 600})
    assert await client.redis.execute_command("SCARD", client.keys.run_checkpoints("run")) > 500
    await run.rollback("run")
    assert await dump(client) == {}


async def test_a_stale_token_rolls_nothing_back(client: Client, saver: RedisSaver) -> None:
    run = await start(client, saver, "run")
    await approval().compile(checkpointer=run).ainvoke({"log": ["in"]}, ROOT)
    before = await dump(client)
    await client.redis.execute_command("HSET", client.keys.run("run"), "token", "2.other")
    with pytest.raises(Fenced):
        await run.rollback("run")
    assert await dump(client) == before


async def test_deleting_a_run_in_the_middle_keeps_what_later_ones_inherited(client: Client, saver: RedisSaver) -> None:
    graph = StateGraph(Log)
    graph.add_node("a", lambda _: {"log": ["a"]})
    graph.add_edge(START, "a")
    compiled = graph.compile()
    for run_id in ("one", "two", "three"):
        compiled.checkpointer = await start(client, saver, run_id)
        await compiled.ainvoke({"log": [run_id, os.urandom(300_000).hex()]}, ROOT)
    compiled.checkpointer = saver
    before = await compiled.aget_state(ROOT)
    await saver.adelete_for_runs(["two"])
    assert await compiled.aget_state(ROOT) == before
    history = [s.values.get("log", [""])[-2:] async for s in compiled.aget_state_history(ROOT)]
    assert len(history) == 6
    await saver.adelete_for_runs(["three", "one"])
    assert await dump(client) == {}


async def test_the_head_is_known_without_redis(client: Client, saver: RedisSaver) -> None:
    graph = approval().compile()
    steps: list[Any] = [{"log": ["in"]}, Command(resume="yes"), Command(resume="no")]
    run = saver
    for step in steps:
        run = await start(client, saver, "run")
        graph.checkpointer = run
        await graph.ainvoke(step, ROOT)
        known = await graph.aget_state(ROOT)
        graph.checkpointer = saver
        assert await graph.aget_state(ROOT) == known
        assert plain(await run.aget_tuple(ROOT)) == plain(await saver.aget_tuple(ROOT))
    await client.redis.unlink(client.keys.checkpoint_ids(THREAD, ""))
    assert await saver.aget_tuple(ROOT) is None
    assert plain(await run.aget_tuple(ROOT)).checkpoint["channel_values"]["log"] == ["in", "answered yes no", "after"]


async def test_what_is_done_to_a_known_head_stays_with_the_caller(client: Client, saver: RedisSaver) -> None:
    run = await start(client, saver, "run")
    await approval().compile(checkpointer=run).ainvoke({"log": ["in"]}, ROOT)
    first = await run.aget_tuple(ROOT)
    assert first is not None
    first.checkpoint["channel_values"].clear()
    first.checkpoint["versions_seen"]["ask"] = {}
    first.metadata["step"] = 99
    assert first.pending_writes is not None
    first.pending_writes.clear()
    assert plain(await run.aget_tuple(ROOT)) == plain(await saver.aget_tuple(ROOT))


async def test_an_error_reads_the_same_from_the_known_head(client: Client, saver: RedisSaver) -> None:
    def fail(_: Any) -> Any:
        raise ValueError("broken")

    graph: Any = StateGraph(Log)
    graph.add_node("fail", fail)
    graph.add_edge(START, "fail")
    run = await start(client, saver, "run")
    with pytest.raises(ValueError, match="broken"):
        await graph.compile(checkpointer=run).ainvoke({"log": ["in"]}, ROOT)
    assert plain(await run.aget_tuple(ROOT)) == plain(await saver.aget_tuple(ROOT))


async def test_a_lost_run_forgets_its_head(client: Client, saver: RedisSaver) -> None:
    run = await start(client, saver, "run")
    graph = approval().compile(checkpointer=run)
    await graph.ainvoke({"log": ["in"]}, ROOT)
    await client.redis.execute_command("HSET", client.keys.run("run"), "token", "2.other")
    await approval().compile(checkpointer=saver.for_run("run", "2.other")).ainvoke(Command(resume="yes"), ROOT)
    with pytest.raises(Fenced):
        await graph.ainvoke({"log": ["zombie"]}, ROOT)
    assert plain(await run.aget_tuple(ROOT)) == plain(await saver.aget_tuple(ROOT))


async def test_deleting_a_run_that_a_delta_channel_needs_is_refused(client: Client, saver: RedisSaver) -> None:
    run = await start(client, saver, "one")
    delta = {"source": "loop", "step": 0, "parents": {}, "counters_since_delta_snapshot": {"log": (1, 1)}}
    config = await run.aput(ROOT, empty_checkpoint(), delta, {})  # type: ignore[arg-type]  # a TypedDict
    run = await start(client, saver, "two")
    await run.aput(config, empty_checkpoint(), delta, {})  # type: ignore[arg-type]  # a TypedDict
    before = await dump(client)
    with pytest.raises(Conflict, match="DeltaChannel"):
        await saver.adelete_for_runs(["one"])
    assert await dump(client) == before
    await saver.adelete_for_runs(["two", "one"])
    assert await dump(client) == {}
