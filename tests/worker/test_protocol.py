"""What a run of protocol v2 streams, as its log will hold it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from langchain_protocol import protocol as definitions
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from pydantic import TypeAdapter

from lineshaft.runs.request import RunSpec
from lineshaft_worker.graphs import Graphs
from lineshaft_worker.protocol import stream_protocol_run
from lineshaft_worker.protocol_events import ProtocolRenderer
from tests.shared.until import until

from . import protocol_graphs, run_graphs
from .player import HI, RUN, Events, Player, names
from .project import new_project

Open = Callable[[str], Awaitable["ProtocolPlayer"]]


class ProtocolPlayer(Player):
    """Plays with protocol v2."""

    def stream(self, graph_input: Any, *_modes: Any, **spec: Any) -> AsyncIterator[Any]:
        return stream_protocol_run(
            self.graph,
            graph_input,
            {"configurable": {"thread_id": "t", "secret": object()}, "recursion_limit": 100},
            context=None,
            spec=RunSpec(assistant_id="", **spec),
            control=self.control,
            run_id=RUN,
        )

    async def until_failure(self, graph_input: Any, error: type[Exception]) -> Events:
        """The events of a run that ends with an error."""
        events: Events = []
        with pytest.raises(error):  # noqa: PT012 - what comes before the error is looked at
            async for name, data in self.stream(graph_input):
                events.append((name, json.loads(data)))
        return events


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graphs]:
    with new_project(tmp_path_factory.mktemp("protocol")) as project:
        modules: dict[Any, tuple[str, ...]] = {}
        modules[run_graphs] = ("chat", "counting", "nested", "asking", "two_questions", "linear", "writing", "strict")
        modules[protocol_graphs] = protocol_graphs.NAMES
        graphs = project.load({name: f"{module.__name__}:{name}" for module in modules for name in modules[module]}, {})
        assert not graphs.errors
        yield graphs


@pytest.fixture
async def play(graphs: Graphs) -> AsyncIterator[Open]:
    run_graphs.reset()
    protocol_graphs.hold_beside.clear()
    opened = []

    async def open_(name: str) -> ProtocolPlayer:
        opening = graphs.open(name, {"configurable": {}}, checkpointer=InMemorySaver(), store=None)
        opened.append(opening)
        return ProtocolPlayer(await opening.__aenter__())

    yield open_
    for opening in reversed(opened):
        await opening.__aexit__(None, None, None)


def of(events: Events, name: str) -> list[Any]:
    return [data for named, data in events if named == name]


# channels
async def test_values_and_updates(play: Open) -> None:
    events = await (await play("linear")).play({"log": ["x"]})
    assert of(events, "values") == [{"log": ["x", "a", "b", "c"][:n]} for n in (1, 2, 3, 4)]
    assert of(events, "updates") == [{name: {"log": [name]}} for name in "abc"]
    assert set(names(events)) == {"values", "updates"}


def test_updates_name_only_nodes() -> None:
    """A step that an earlier attempt had done was told of with a node `__metadata__` beside it."""
    data = {"a": {"n": 1}, "__metadata__": {"cached": True}}
    event = {"method": "updates", "params": {"namespace": ["child:1"], "data": data}}
    assert [*ProtocolRenderer().render(event)] == [("updates|child:1", b'{"a":{"n":1}}')]


async def test_custom_values_come_as_they_are(play: Open) -> None:
    assert of(await (await play("writing")).play({}), "custom") == [{"progress": 0}, "plain text"]


async def test_a_message_comes_in_blocks(play: Open) -> None:
    events = await (await play("chat")).play(HI)
    parts = of(events, "messages")
    assert [part["event"] for part in parts] == [
        "message-start", "content-block-start", *["content-block-delta"] * 5, "content-block-finish", "message-finish",
    ]  # fmt: skip
    assert "".join(part["delta"]["text"] for part in parts if "delta" in part) == "echo: hi there"
    assert not any("message_id" in part for part in parts)
    check = TypeAdapter(definitions.MessagesData)
    for part in parts:
        check.validate_python(part)
    assert of(events, "values")[-1]["messages"] == [
        {"content": "hi", "type": "human", "id": "h"},
        {
            "content": [{"type": "text", "text": "echo: hi there", "index": 0}],
            "response_metadata": {"output_version": "v1"},
            "type": "ai",
            "id": parts[0]["id"],
        },
    ]


async def test_a_model_that_does_not_stream_speaks_in_blocks_too(play: Open) -> None:
    events = await (await play("mute")).play(HI)
    parts = of(events, "messages")
    assert [part["event"] for part in parts] == [
        "message-start", "content-block-start", "content-block-delta", "content-block-finish", "message-finish",
    ]  # fmt: skip
    assert parts[2]["delta"] == {"type": "text-delta", "text": "all at once"}
    assert of(events, "values")[-1]["messages"][-1]["id"] == parts[0]["id"]


async def test_messages_that_no_model_made_are_in_the_values_only(play: Open) -> None:
    events = await (await play("counting")).play(HI)
    assert not of(events, "messages")
    assert of(events, "values")[-1]["messages"][-1]["content"] == "1 so far"


async def test_parts_of_messages_that_come_together_name_their_own(play: Open) -> None:
    parts = of(await (await play("parallel")).play(HI), "messages")
    texts: dict[str, str] = {}
    going: set[str] = set()
    for part in parts:
        if part["event"] == "message-start":
            texts[part["id"]] = ""
            going.add(part["id"])
            continue
        assert ("message_id" in part) == (len(going) == 2)
        ident = part.get("message_id") or next(iter(going))
        if part["event"] == "content-block-delta":
            texts[ident] += part["delta"]["text"]
        elif part["event"] == "message-finish":
            going.remove(ident)
    assert sorted(texts.values()) == ["left one", "right one"]


async def test_tools(play: Open) -> None:
    events = of(await (await play("tooling")).play({"messages": [("user", "4")]}), "tools")
    assert events == [
        {"event": "tool-started", "tool_call_id": "c|1", "tool_name": "double", "input": {"n": 4}},
        {
            "event": "tool-finished",
            "tool_call_id": "c|1",
            "output": {"content": "8", "type": "tool", "name": "double", "tool_call_id": "c|1", "status": "success"},
        },
    ]
    check = TypeAdapter(definitions.ToolsData)
    for event in events:
        check.validate_python(event)


async def test_a_tool_that_fails(play: Open) -> None:
    events = await (await play("tooling")).until_failure({"messages": [("user", "-1")]}, ValueError)
    assert of(events, "tools")[-1] == {"event": "tool-error", "tool_call_id": "c|1", "message": "negative"}


async def test_a_state_that_is_no_dict(play: Open) -> None:
    """Its second step cannot even begin; what came before is shown."""
    events = await (await play("strict")).until_failure({"n": 1}, Exception)
    assert of(events, "values")[0] == {"n": 1}


# subgraphs
async def test_a_subgraph_has_a_namespace_a_start_and_an_end(play: Open) -> None:
    events = await (await play("nested")).play(HI)
    (namespace,) = {name.partition("|")[2] for name in names(events)} - {""}
    assert namespace.startswith("child:")
    assert of(events, f"lifecycle|{namespace}") == [
        {
            "event": "started",
            "namespace": [namespace],
            "graph_name": "child",
            "trigger_call_id": namespace.partition(":")[2],
        },
        {"event": "completed", "graph_name": "child"},
    ]
    assert of(events, f"custom|{namespace}") == [{"from": "inner"}]
    assert of(events, f"messages|{namespace}") and not of(events, "messages")
    assert not of(events, "lifecycle")  # the run's own is told by its log


async def test_a_subgraph_that_fails(play: Open) -> None:
    events = await (await play("nested")).until_failure({**HI, "fail": True}, ValueError)
    name, data = events[-1]
    assert name.startswith("lifecycle|child:")
    assert data == {"event": "failed", "graph_name": "child", "error": "boom in child"}


async def test_an_interrupt_is_told_once_where_it_was_asked(play: Open) -> None:
    player = await play("nested")
    events = await player.play({**HI, "pause": True})
    [(name, data)] = [(name, data) for name, data in events if name.startswith("input.requested")]
    assert name.startswith("input.requested|child:")
    assert data["payload"] == data["value"] == "child asks"
    TypeAdapter(definitions.InputRequestedData).validate_python(data)
    assert not any("__interrupt__" in json.dumps(data) for _, data in events)
    assert [data["event"] for name, data in events if name.startswith("lifecycle|")] == ["started", "interrupted"]
    state = await player.graph.aget_state({"configurable": {"thread_id": "t"}})
    assert [i.id for i in state.interrupts] == [data["interrupt_id"]]


async def test_each_of_several_interrupts_is_told(play: Open) -> None:
    events = await (await play("two_questions")).play({"log": []})
    assert sorted(data["payload"] for data in of(events, "input.requested")) == ["left", "right"]


# transformers
async def test_transformers_add_channels(play: Open) -> None:
    run_graphs.GATES["gate"].set()
    events = await (await play("watched")).play({"log": []})
    steps = [data for data in of(events, "custom") if data["name"] == "steps"]
    assert steps == [{"name": "steps", "payload": n} for n in (1, 2, 3)]
    assert [data["name"] for data in of(events, "tasks")] == ["a", "a", "hold", "hold"]
    assert [data["metadata"]["step"] for data in of(events, "checkpoints")] == [-1, 0, 1, 2]
    assert all(data["config"]["configurable"].keys() >= {"checkpoint_id"} for data in of(events, "checkpoints"))
    assert "secret" not in json.dumps(of(events, "checkpoints"))
    assert run_graphs.ENTERED.count("beside is over") == 1


async def test_what_a_transformer_raises_ends_the_run(play: Open) -> None:
    events = await (await play("badly_watched")).until_failure({"log": []}, RuntimeError)
    assert of(events, "values") == [{"log": []}]


async def test_a_hook_that_fails_is_a_graph_that_does_not_load(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = "from tests.worker.run_graphs import linear as graph\ndef stream_transformers(): raise ValueError('no')"
    with new_project(tmp_path_factory.mktemp("hook")) as project:
        assert "ValueError: no" in str(project.load_one(source).errors["agent"])


# stops
async def test_a_cancel_leaves_nothing_behind(play: Open) -> None:
    """langgraph's own run stream pulls each event in a task of its own, which a cancel left behind."""
    protocol_graphs.hold_beside.append(True)
    before = asyncio.all_tasks()
    running = asyncio.create_task((await play("watched")).play({"log": []}))
    await until(lambda: {"hold gate", "beside"} <= set(run_graphs.ENTERED), "the graph waits")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run_graphs.ENTERED.count("beside is over") == 1
    assert asyncio.all_tasks() == before


async def test_a_reader_that_leaves_stops_the_graph(play: Open) -> None:
    before = asyncio.all_tasks()
    stream: Any = (await play("watched")).stream({"log": []})
    await anext(stream)
    await stream.aclose()
    assert asyncio.all_tasks() == before


async def test_a_drain_stops_it_at_its_next_step(play: Open) -> None:
    player = await play("nested")
    events: Events = []
    with pytest.raises(GraphDrained):  # noqa: PT012 - what comes before is looked at
        async for name, data in player.stream(HI):
            events.append((name, json.loads(data)))
            if name.startswith("custom|"):
                player.control.request_drain("the worker is stopping")
    assert not any(data.get("event") == "drained" for _, data in events if isinstance(data, dict))
    player.control = RunControl()
    resumed = await player.play(None)
    assert of(resumed, "values")[-1]["log"] == ["outer", "last"]
