"""What a graph streams, as the events that clients know."""

import itertools
import json
import uuid
from typing import Any

import pytest

from .player import HI, RUN, Events, Opener, names

MODES = ("values", "updates", "messages", "messages-tuple", "events", "debug", "custom", "tasks", "checkpoints")


# one mode
async def test_values(player: Opener) -> None:
    linear = await player("linear")
    assert await linear.play({"log": ["x"]}, "values") == [
        ("values", {"log": ["x", "a", "b", "c"][:n]}) for n in (1, 2, 3, 4)
    ]


async def test_values_without_an_input_begin_with_the_first_step(player: Opener) -> None:
    assert len(await (await player("linear")).play({}, "values")) == 3


async def test_updates(player: Opener) -> None:
    events = await (await player("linear")).play({"log": ["x"]}, "updates")
    assert events == [("updates", {name: {"log": [name]}}) for name in "abc"]


async def test_updates_of_a_fan_out_come_one_by_one(player: Opener) -> None:
    events = await (await player("fanout")).play({"items": [1, 2]}, "updates")
    assert events[0] == ("updates", {"spread": None})
    assert sorted(event["square"]["log"] for _, event in events[1:]) == [["1"], ["4"]]


async def test_the_functional_api(player: Opener) -> None:
    functional = await player("functional")
    assert await functional.play({"n": 4}, "updates") == [
        ("updates", {"double": 8}),
        ("updates", {"functional": {"doubled": 8}}),
    ]
    assert await functional.play({"n": 4}, "values") == [("values", {"doubled": 8})]


async def test_custom(player: Opener) -> None:
    events = await (await player("writing")).play({}, "custom")
    assert events == [("custom", {"progress": 0}), ("custom", "plain text")]


async def test_tasks(player: Opener) -> None:
    events = await (await player("linear")).play({"log": []}, "tasks")
    start, end = events[0][1], events[1][1]
    assert start.items() >= {"name": "a", "input": {"log": []}, "triggers": ["branch:to:a"]}.items()
    assert end.items() >= {"name": "a", "error": None, "result": {"log": ["a"]}, "interrupts": []}.items()
    assert start["id"] == end["id"]
    assert names(events) == ["tasks"] * 6


async def test_checkpoints(player: Opener) -> None:
    events = await (await player("linear")).play({"log": ["x"]}, "checkpoints")
    assert names(events) == ["checkpoints"] * 5
    payloads = [data for _, data in events]
    assert [p["metadata"]["step"] for p in payloads] == [-1, 0, 1, 2, 3]
    assert [p["metadata"]["source"] for p in payloads] == ["input", *["loop"] * 4]
    assert [p["next"] for p in payloads] == [["__start__"], ["a"], ["b"], ["c"], []]
    assert payloads[-1]["values"] == {"log": ["x", "a", "b", "c"]}
    for payload in payloads:
        assert payload["config"].keys() == {"configurable"}
        assert payload["config"]["configurable"].keys() == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    for before, after in itertools.pairwise(payloads):
        assert after["parent_config"]["configurable"] == before["config"]["configurable"]
    assert payloads[0]["parent_config"] is None


async def test_debug(player: Opener) -> None:
    events = await (await player("linear")).play({"log": []}, "debug")
    kinds = [data["type"] for _, data in events]
    assert kinds == ["checkpoint", "checkpoint", *["task", "task_result", "checkpoint"] * 3]
    assert all(data.keys() == {"step", "timestamp", "type", "payload"} for _, data in events)
    first, second = events[0][1]["payload"], events[1][1]["payload"]
    assert first["checkpoint"].keys() == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert first["parent_checkpoint"] is None
    assert second["parent_checkpoint"] == first["checkpoint"]


async def test_nothing_of_ours_is_in_checkpoints(player: Opener) -> None:
    for modes in (("checkpoints", "debug", "tasks"), ("events", "checkpoints", "debug")):
        nested = await player("nested")
        text = json.dumps(await nested.play(HI, *modes, subgraphs=True)).replace("__pregel_pull", "")  # a task's path
        for internal in ("__pregel", "InMemorySaver", "RunControl", "secret"):
            assert internal not in text, (modes, internal)


# messages
async def test_messages_accumulate(player: Opener) -> None:
    events = await (await player("chat")).play(HI, "messages")
    assert names(events) == ["messages/metadata", *["messages/partial"] * (len(events) - 1)]
    ((message_id, about),) = events[0][1].items()
    assert about["metadata"].items() >= {"langgraph_node": "model", "langgraph_step": 1, "thread_id": "t"}.items()
    shown = [data for _, data in events[1:]]
    assert all(len(data) == 1 and data[0]["type"] == "ai" and data[0]["id"] == message_id for data in shown)
    contents = [data[0]["content"] for data in shown]
    assert contents[:3] == ["echo:", "echo: ", "echo: hi"]
    assert contents[-1] == "echo: hi there"
    assert shown[-1][0]["tool_calls"] == []


async def test_a_message_that_no_model_streams_is_complete(player: Opener) -> None:
    events = await (await player("counting")).play(HI, "messages")
    assert names(events) == ["messages/metadata", "messages/complete"]
    assert events[1][1][0].items() >= {"type": "ai", "content": "1 so far", "id": "m1"}.items()


async def test_messages_tuple_has_chunks(player: Opener) -> None:
    events = await (await player("chat")).play(HI, "messages-tuple")
    assert set(names(events)) == {"messages"}
    chunks = [chunk for _, (chunk, _) in events]
    assert {chunk["type"] for chunk in chunks} == {"AIMessageChunk"}
    assert "".join(chunk["content"] for chunk in chunks) == "echo: hi there"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [chunk["chunk_position"] for chunk in chunks] == [*[None] * (len(chunks) - 1), "last"]
    assert {about["langgraph_node"] for _, (_, about) in events} == {"model"}


async def test_messages_tuple_wins_over_messages(player: Opener) -> None:
    assert set(names(await (await player("chat")).play(HI, "messages", "messages-tuple"))) == {"messages"}


# events
async def test_events(player: Opener) -> None:
    events = await (await player("chat")).play(HI, "events")
    assert set(names(events)) == {"events"}
    records = [data for _, data in events]
    assert records[0].items() >= {"event": "on_chain_start", "run_id": RUN, "name": "chat"}.items()
    assert records[-1].items() >= {"event": "on_chain_end", "run_id": RUN}.items()
    kinds = [record["event"] for record in records]
    assert kinds.count("on_chat_model_start") == kinds.count("on_chat_model_end") == 1
    streamed = [record["data"]["chunk"]["content"] for record in records if record["event"] == "on_chat_model_stream"]
    assert "".join(streamed) == "echo: hi there"


async def test_events_beside_another_mode(player: Opener) -> None:
    events = await (await player("linear")).play({"log": ["x"]}, "values", "events")
    assert set(names(events)) == {"values", "events"}
    assert [data for name, data in events if name == "values"][-1] == {"log": ["x", "a", "b", "c"]}


async def test_hidden_records_are_left_out(player: Opener) -> None:
    events = await (await player("writing")).play({}, "events")
    assert "write" in {data["name"] for _, data in events}
    assert "secret" not in {data["name"] for _, data in events}


# several modes, and subgraphs
@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("graph", ["linear", "nested", "chat", "functional"])
async def test_each_mode_says_alone_what_it_says_among_all(player: Opener, graph: str, subgraphs: bool) -> None:
    """The counts: ids, times and tokens' places differ from run to run."""
    graph_input: Any = {"n": 1} if graph == "functional" else HI if graph != "linear" else {"log": []}

    def counts(events: Events) -> dict[str, int]:
        plain = [name.partition(":")[0] for name, _ in events]  # task ids differ
        return {name: plain.count(name) for name in sorted(plain)}

    together = counts(await (await player(graph)).play(graph_input, *MODES, subgraphs=subgraphs))
    alone: dict[str, int] = {}
    for mode in MODES:
        if mode != "messages":  # messages-tuple wins
            alone |= counts(await (await player(graph)).play(graph_input, mode, subgraphs=subgraphs))
    # Each chunk of the root is an event of langchain, too.
    together.pop("events"), alone.pop("events")
    assert together == alone


async def test_the_order_within_a_step(player: Opener) -> None:
    events = await (await player("linear")).play({"log": []}, "values", "updates", "tasks", "checkpoints", "debug")
    first = next(i for i, (name, data) in enumerate(events) if name == "checkpoints" and data["next"] == ["a"])
    shown = [data.get("type", name) if name == "debug" else name for name, data in events[first : first + 9]]
    assert shown == [
        "checkpoints", "checkpoint", "tasks", "task", "updates", "tasks", "task_result", "values", "checkpoints",
    ]  # fmt: skip


async def test_without_subgraphs_only_the_root_speaks(player: Opener) -> None:
    events = await (await player("nested")).play(HI, "values", "updates", "custom", "messages-tuple")
    assert not [name for name in names(events) if "|" in name]
    assert "custom" not in names(events)
    messages = [chunk for name, (chunk, *_) in ((n, d) for n, d in events if n == "messages")]
    assert [(m["type"], m["content"]) for m in messages] == [("human", "hello child"), ("ai", "echo: hi there")]


async def test_events_of_subgraphs_name_their_task(player: Opener) -> None:
    events = await (await player("nested")).play(
        HI, "values", "updates", "messages-tuple", "custom", "tasks", subgraphs=True
    )
    inner = {name.partition("|")[::2] for name in names(events) if "|" in name}
    assert {mode for mode, _ in inner} == {"values", "updates", "messages", "custom", "tasks"}
    (namespace,) = {namespace for _, namespace in inner}
    node, _, task_id = namespace.partition(":")
    assert node == "child" and str(uuid.UUID(task_id)) == task_id
    assert task_id in {data["id"] for name, data in events if name == "tasks"}
    tokens = [chunk["content"] for name, (chunk, *_) in ((n, d) for n, d in events if n == f"messages|{namespace}")]
    assert "".join(tokens[1:]) == "echo: hi there"


async def test_partial_messages_never_name_a_subgraph(player: Opener) -> None:
    events = await (await player("nested")).play(HI, "messages", subgraphs=True)
    assert set(names(events)) == {"messages/metadata", "messages/partial", "messages/complete"}
