"""The state of a thread as clients see it."""

import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from lineshaft.threads.state import EMPTY_STATE
from lineshaft_worker.graphs import Graph
from lineshaft_worker.state import exists, thread_interrupts, thread_state, thread_status

from . import run_graphs

THREAD: Any = {"configurable": {"thread_id": "t"}}


def compiled(name: str) -> Graph:
    graph: Graph = getattr(run_graphs, name).compile(checkpointer=InMemorySaver())
    return graph


async def state(graph: Graph, config: Any = THREAD, **options: Any) -> Any:
    return json.loads(thread_state(await graph.aget_state(config, **options)))


async def test_a_thread_without_checkpoints() -> None:
    snapshot = await compiled("linear").aget_state(THREAD)
    assert json.loads(thread_state(snapshot)) == json.loads(EMPTY_STATE)
    assert not exists(snapshot)
    assert thread_status(snapshot) == "idle"
    assert thread_interrupts(snapshot) == b"{}"


async def test_after_a_run() -> None:
    graph = compiled("linear")
    config: Any = {**THREAD, "metadata": {"mine": 1, "__ours": 2}}
    await graph.ainvoke({"log": ["x"]}, config)
    snapshot = await graph.aget_state(THREAD)
    shown = json.loads(thread_state(snapshot))
    assert exists(snapshot) and thread_status(snapshot) == "idle"
    assert shown.keys() == json.loads(EMPTY_STATE).keys()
    assert shown["values"] == {"log": ["x", "a", "b", "c"]}
    assert (shown["next"], shown["tasks"], shown["interrupts"]) == ([], [], [])
    assert shown["metadata"] == {"source": "loop", "step": 3, "mine": 1, "thread_id": "t", "parents": {}}
    assert shown["created_at"] == snapshot.created_at
    assert shown["checkpoint"] == {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": shown["checkpoint_id"]}
    assert shown["parent_checkpoint"].keys() == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert shown["parent_checkpoint"]["checkpoint_id"] == shown["parent_checkpoint_id"] < shown["checkpoint_id"]


async def test_past_states_tell_what_their_tasks_returned() -> None:
    graph = compiled("linear")
    await graph.ainvoke({"log": []}, THREAD)
    history = [json.loads(thread_state(snapshot)) async for snapshot in graph.aget_state_history(THREAD)]
    assert [past["metadata"]["step"] for past in history] == [3, 2, 1, 0, -1]
    (task,) = history[1]["tasks"]
    assert task == {
        "id": task["id"], "name": "c", "path": ["__pregel_pull", "c"], "error": None, "interrupts": [],
        "checkpoint": None, "state": None, "result": {"log": ["c"]},
    }  # fmt: skip
    assert history[-1]["parent_checkpoint"] is None and history[-1]["parent_checkpoint_id"] is None


async def test_an_interrupt() -> None:
    graph = compiled("asking")
    await graph.ainvoke({"log": []}, THREAD)
    snapshot = await graph.aget_state(THREAD)
    shown = json.loads(thread_state(snapshot))
    (task,) = shown["tasks"]
    assert shown["next"] == ["ask"] and task["name"] == "ask"
    assert (
        task["interrupts"]
        == shown["interrupts"]
        == [{"id": shown["interrupts"][0]["id"], "value": {"question": "go on?"}}]
    )
    assert task["error"] is None and task["result"] is None
    assert json.loads(thread_interrupts(snapshot)) == {task["id"]: task["interrupts"]}
    assert thread_status(snapshot) == "interrupted"


async def test_two_interrupts_and_the_one_that_is_left() -> None:
    graph = compiled("two_questions")
    await graph.ainvoke({"log": []}, THREAD)
    asked = {t["name"]: t["interrupts"][0] for t in (await state(graph))["tasks"]}
    assert asked.keys() == {"left", "right"}
    await graph.ainvoke(Command(resume={asked["left"]["id"]: "yes"}), THREAD)
    snapshot = await graph.aget_state(THREAD)
    assert list(json.loads(thread_interrupts(snapshot)).values()) == [[asked["right"]]]
    assert thread_status(snapshot) == "interrupted"


async def test_a_breakpoint_is_no_interrupt() -> None:
    graph = compiled("linear")
    await graph.ainvoke({"log": []}, THREAD, interrupt_before=["b"])
    snapshot = await graph.aget_state(THREAD)
    assert thread_interrupts(snapshot) == b"{}"
    assert thread_status(snapshot) == "interrupted"
    assert (await state(graph))["next"] == ["b"]


async def test_a_failed_task() -> None:
    graph = compiled("failing")
    with pytest.raises(ValueError, match="boom"):
        await graph.ainvoke({"log": []}, THREAD)
    shown = await state(graph)
    assert shown["values"] == {"log": ["a"]} and shown["next"] == ["boom"]
    assert shown["tasks"][0]["error"] == "ValueError('boom')"


async def test_messages_are_flat() -> None:
    graph = compiled("counting")
    await graph.ainvoke({"messages": [{"role": "user", "content": "hi", "id": "h"}]}, THREAD)
    human, ai = (await state(graph))["values"]["messages"]
    assert human["type"] == "human" and human["id"] == "h" and human["content"] == "hi"
    assert ai["type"] == "ai" and ai["content"] == "1 so far"


async def test_subgraphs() -> None:
    graph = compiled("nested")
    await graph.ainvoke({"messages": [], "log": [], "pause": True}, THREAD)
    (pointer,) = (await state(graph))["tasks"]
    assert pointer["state"] is None
    assert pointer["checkpoint"] == {"thread_id": "t", "checkpoint_ns": f"child:{pointer['id']}"}
    (task,) = (await state(graph, subgraphs=True))["tasks"]
    assert task["checkpoint"] is None
    child = task["state"]
    assert child["next"] == ["inner"] and child["checkpoint"]["checkpoint_ns"] == f"child:{task['id']}"
    assert child["tasks"][0]["interrupts"] == task["interrupts"] == child["interrupts"]
    assert child["checkpoint"].keys() == {"thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map"}
    # The pointer leads to the same state.
    assert (await state(graph, {"configurable": pointer["checkpoint"]}))["values"] == child["values"]
