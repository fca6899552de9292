"""A run whose worker dies ends as if it had not, whichever of its writes was the last.

No step is lost or done twice, no answer is used twice or for another question, no breakpoint is passed.
"""

import copy
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from lineshaft.runs.request import Checkpoint
from lineshaft_worker.graphs import Graph

from . import attempt_graphs as graphs
from .crashes import THREAD, MortalSaver, Outcome, attempt, claim_of, outcome, waiting

Request = Callable[[Graph], Coroutine[Any, Any, dict[str, Any]]]


class Story(NamedTuple):
    graph: Any  # a builder, or a function of the checkpointer
    before: list[Request]  # runs that ended well
    run: Request
    compiled: dict[str, Any] | None = None


def sends(**request: Any) -> Request:
    async def make(_: Graph) -> dict[str, Any]:
        return request

    return make


def new(**request: Any) -> Request:
    return sends(graph_input={"log": ["in"], "items": ["1", "2"]}, **request)


def bare(value: str, **command: Any) -> Request:
    return sends(command={"resume": value, **command})


def answers(**by_question: str) -> Request:
    async def make(graph: Graph) -> dict[str, Any]:
        ids = await waiting(graph)
        return {"command": {"resume": {ids[question]: value for question, value in by_question.items()}}}

    return make


def at(node: str, **request: Any) -> Request:
    """From the newest checkpoint before a node, or the oldest there is."""

    async def make(graph: Graph) -> dict[str, Any]:
        states = [state async for state in graph.aget_state_history({"configurable": {"thread_id": THREAD}})]
        state = next((state for state in states if state.next == (node,)), states[-1])
        return {"checkpoint": Checkpoint(None, "", state.config["configurable"]["checkpoint_id"]), **request}

    return make


def breaks(*nodes: str, then: Request) -> Request:
    async def make(graph: Graph) -> dict[str, Any]:
        graphs.BROKEN.clear()
        graphs.BROKEN.update(nodes)
        return await then(graph)

    return make


go_on = sends()
STORIES = {
    "plain end": Story(graphs.linear(), [new()], new()),
    "breakpoint before": Story(graphs.linear(), [new()], new(interrupt_before=["c"])),
    "breakpoint after": Story(graphs.linear(), [new()], new(interrupt_after=["c"])),
    "breakpoint before every node": Story(graphs.linear(), [new()], new(interrupt_before="*")),
    "breakpoint after every node": Story(graphs.linear(), [new()], new(interrupt_after="*")),
    "on to the next breakpoint": Story(graphs.linear(), [new()], go_on, {"interrupt_before": ["b", "d"]}),
    "on to the next breakpoint after": Story(graphs.linear(), [new()], go_on, {"interrupt_after": ["b", "c"]}),
    "breakpoint in a subgraph": Story(graphs.nested(interrupt_before=["second", "third"]), [new()], go_on),
    "breakpoint after in a subgraph": Story(graphs.nested(interrupt_after=["first", "second"]), [new()], go_on),
    "breakpoint after sends": Story(graphs.fanout(), [new()], new(interrupt_after=["work"])),
    "breakpoint behind sends": Story(graphs.fanout(), [new()], new(interrupt_before=["gather"])),
    "breakpoint behind an answer": Story(graphs.ask(), [new()], bare("A"), {"interrupt_before": ["z"]}),
    "interrupt": Story(graphs.ask(), [], new()),
    "answer": Story(graphs.ask(), [new()], bare("A")),
    "null input at an interrupt": Story(graphs.ask(), [new()], go_on),
    "answer, update and goto": Story(graphs.ask(), [new()], bare("A", update={"log": ["u"]}, goto="a")),
    "first of two answers": Story(graphs.ask_twice(), [new()], bare("A")),
    "first of two answers, by id": Story(graphs.ask_twice(), [new()], answers(q1="A")),
    "the same answer again": Story(graphs.ask_twice(), [new(), bare("A")], bare("A")),
    "the second answer, by id": Story(graphs.ask_twice(), [new(), bare("A")], answers(q2="B")),
    "answer and a second update": Story(
        graphs.ask_twice(), [new(), sends(command={"update": {"log": ["u"]}})], bare("A", update={"log": ["v"]})
    ),
    "answer beside finished work": Story(graphs.ask_beside_work(), [new()], bare("A")),
    "answer beside a failed node that then asks": Story(
        graphs.broken_beside(), [breaks("flaky", then=new())], breaks(then=bare("A"))
    ),
    "one of two parallel interrupts": Story(graphs.ask_two(), [new()], answers(l1="A")),
    "the other of two parallel interrupts": Story(graphs.ask_two(), [new()], answers(r1="A")),
    "both of two parallel interrupts": Story(graphs.ask_two(), [new()], answers(l1="A", r1="A")),
    "the rest of two parallel interrupts": Story(graphs.ask_two(), [new(), answers(r1="A")], bare("A")),
    "subgraph interrupt": Story(graphs.nested(), [], new()),
    "answer in a subgraph": Story(graphs.nested(), [new()], bare("A")),
    "answer in a subgraph, by id": Story(graphs.nested(), [new()], answers(c1="A")),
    "second answer in a subgraph": Story(graphs.nested(), [new(), bare("A")], bare("A")),
    "last answer in a subgraph": Story(graphs.nested(), [new(), bare("A"), bare("B")], bare("C")),
    "answer in a subgraph with memory": Story(graphs.nested(checkpointer=True), [new(), bare("A")], bare("A")),
    "answer in a subgraph's subgraph": Story(graphs.grandchild(), [new()], bare("A")),
    "answer in a graph that a node calls": Story(graphs.called(), [new()], bare("A")),
    "functional interrupt": Story(graphs.functional, [], new()),
    "functional answer": Story(graphs.functional, [new()], bare("A")),
    "functional, the task's second answer": Story(graphs.functional, [new(), bare("A"), bare("A")], bare("A")),
    "functional answer by id": Story(graphs.functional, [new(), bare("A")], answers(t1="A")),
    "goto": Story(graphs.linear(), [new()], sends(command={"goto": ["c", "b"], "update": [["log", ["u"]]]})),
    "goto with a send": Story(
        graphs.fanout(),
        [new()],
        sends(command={"goto": {"node": "work", "input": {"note": "s"}}}, interrupt_after=["work"]),
    ),
    "goto on a new thread": Story(graphs.linear(), [], sends(command={"goto": "c"})),
    "update": Story(graphs.linear(), [new()], sends(command={"update": {"log": ["u"]}})),
    "answer to nothing": Story(graphs.linear(), [new()], bare("A")),
    "answer at a breakpoint": Story(graphs.ask(), [new()], bare("A"), {"interrupt_before": ["ask"]}),
    "several wait for a bare answer": Story(graphs.ask_two(), [new()], bare("A")),
    "null input on a new thread": Story(graphs.linear(), [], go_on),
    "replay": Story(graphs.linear(), [new()], at("b")),
    "replay to a breakpoint": Story(graphs.linear(), [new()], at("b", interrupt_before=["b", "c"])),
    "fork": Story(graphs.linear(), [new()], at("b", graph_input={"log": ["fork"]})),
    "fork with a goto": Story(graphs.linear(), [new()], at("b", command={"goto": "d"})),
    "another answer to an old question": Story(
        graphs.ask_twice(), [new(), bare("A"), bare("B")], at("ask", command={"resume": "X", "update": {"log": ["u"]}})
    ),
}
# Also with a second crash, at every write of the second attempt.
TWICE = {
    "plain end",
    "answer, update and goto",
    "first of two answers",
    "answer in a subgraph",
    "breakpoint in a subgraph",
}


class Stage:
    """A graph at the point where the run of a story begins."""

    def __init__(self, graph: Graph, request: dict[str, Any]) -> None:
        self.graph = graph
        assert isinstance(graph.checkpointer, MortalSaver)
        self.saver = graph.checkpointer
        self._request = request
        self._claim = claim_of(**request)

    def again(self) -> "Stage":
        """The same stage, untouched by what is played on this one."""
        graph = copy.copy(self.graph)
        graph.checkpointer = copy.deepcopy(self.saver)
        return Stage(graph, self._request)

    async def play(self, life: int | None) -> Outcome:
        """An attempt whose worker lives for so many writes."""
        self.saver.live(life)
        graphs.RAN.clear()
        error = None
        try:
            await attempt(self._claim, self.graph)
        except Exception as raised:  # noqa: BLE001 - of whatever kind: an outcome tells it
            error = raised
        self._claim.wrote = self._claim.wrote or self.saver.written > 0
        self._claim.attempt += 1
        return await outcome(self.graph, error)


async def stage_of(story: Story, durability: str) -> Stage:
    saver = MortalSaver()
    by_builder = hasattr(story.graph, "compile")
    graph = story.graph.compile(checkpointer=saver, **(story.compiled or {})) if by_builder else story.graph(saver)
    for request in story.before:
        await Stage(graph, {**await request(graph), "durability": durability}).play(None)
    return Stage(graph, {**await story.run(graph), "durability": durability})


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("name", STORIES)
async def test_a_crash_after_any_write_changes_nothing(name: str, durability: str) -> None:
    story = STORIES[name]
    start = await stage_of(story, durability)
    undisturbed = start.again()
    expected = await undisturbed.play(None)
    writes = undisturbed.saver.written
    for first in range(writes + 1):
        for second in [None, *range(1, writes - first + 3)] if name in TWICE and first else [None]:
            stage = start.again()
            await stage.play(first)
            if second is not None:
                await stage.play(second)
            assert await stage.play(None) == expected, f"after {first} writes, and {second}"
            if first == writes and not expected.asks and not expected.error:
                assert graphs.RAN == [], "it had ended"


async def test_finished_steps_do_not_run_again() -> None:
    start = await stage_of(STORIES["interrupt"]._replace(graph=graphs.linear()), "sync")
    for life in range(1, 12):
        stage = start.again()
        stored = (await stage.play(life)).values.get("log", [])
        await stage.play(None)
        assert not set(stored) & set(graphs.RAN)


async def test_in_doubt_a_graph_asks_again() -> None:
    """A subgraph that keeps no checkpoints starts over and asks anew: the answer must not go to what it asks then."""
    stage = await stage_of(Story(graphs.nested(checkpointer=False), [new()], bare("A")), "async")
    assert (await stage.play(None)).asks == ["c2"]
    assert (await stage.play(None)).asks == ["c1"]
