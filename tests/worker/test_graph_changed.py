"""A run that is to go on with a node that its graph has lost in a deploy: an error, and the state is as it was."""

from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from lineshaft.errors import GraphChanged
from lineshaft_worker.graphs import Graph

from . import attempt_graphs as graphs
from .crashes import Crash, MortalSaver, attempt, claim_of, outcome, waiting


def deploy(saver: MortalSaver, *nodes: tuple[str, Any]) -> Graph:
    graph: Graph = graphs.chain(*nodes).compile(checkpointer=saver)
    return graph


BEFORE = (("a", graphs.plain("a")), ("ask", graphs.asking("ask", "q1")), ("z", graphs.plain("z")))
AFTER = (("a", graphs.plain("a")), ("question", graphs.asking("question", "q1")), ("z", graphs.plain("z")))


@pytest.mark.parametrize("by_id", [False, True])
async def test_an_answer_to_a_node_that_is_gone(by_id: bool) -> None:
    saver = MortalSaver()
    old, new = deploy(saver, *BEFORE), deploy(saver, *AFTER)
    await attempt(claim_of({"log": []}), old)
    before = await outcome(old)
    [interrupt] = (await waiting(old)).values()
    command = {"resume": {interrupt: "yes"} if by_id else "yes"}
    with pytest.raises(GraphChanged, match="'ask'"):
        await attempt(claim_of(command=command), new)
    assert await outcome(old) == before
    # The old version, deployed again, goes on.
    await attempt(claim_of(command=command), old)
    assert (await outcome(old)).values["log"] == ["a", "q1=yes", "z"]


async def test_going_on_without_an_input() -> None:
    saver = MortalSaver()
    old, new = deploy(saver, *BEFORE), deploy(saver, *AFTER)
    await attempt(claim_of({"log": []}, interrupt_before=["ask"]), old)
    with pytest.raises(GraphChanged):
        await attempt(claim_of(None), new)


async def test_a_run_whose_worker_died_before_the_deploy() -> None:
    saver = MortalSaver()
    old, new = deploy(saver, *BEFORE), deploy(saver, *AFTER)
    claim = claim_of({"log": []}, durability="sync")
    saver.live(4)  # the input, the writes and the checkpoint of `a`, the question
    with pytest.raises(Crash):
        await attempt(claim, old)
    saver.live(None)
    claim.wrote = True
    with pytest.raises(GraphChanged):
        await attempt(claim, new)


async def test_a_node_that_a_send_calls_for() -> None:
    saver = MortalSaver()

    def fan_out(name: str) -> Graph:
        builder = StateGraph(graphs.State)
        builder.add_node("a", graphs.plain("a"))
        builder.add_node(name, graphs.asking(name, "q1"))
        builder.add_edge(START, "a")
        builder.add_conditional_edges("a", lambda _: [Send(name, {"log": []})], [name])
        graph: Graph = builder.compile(checkpointer=saver)
        return graph

    await attempt(claim_of({"log": []}), fan_out("each"))
    with pytest.raises(GraphChanged, match="'each'"):
        await attempt(claim_of(command={"resume": "yes"}), fan_out("every"))


async def test_a_node_of_a_subgraph() -> None:
    saver = MortalSaver()
    old = deploy(saver, ("sub", graphs.chain(*BEFORE).compile()))
    new = deploy(saver, ("sub", graphs.chain(*AFTER).compile()))
    await attempt(claim_of({"log": []}), old)
    with pytest.raises(GraphChanged, match="'ask'"):
        await attempt(claim_of(command={"resume": "yes"}), new)


async def test_a_new_input_begins_anew_in_the_new_graph() -> None:
    saver = MortalSaver()
    old, new = deploy(saver, *BEFORE), deploy(saver, *AFTER)
    await attempt(claim_of({"log": []}), old)
    await attempt(claim_of({"log": ["again"]}), new)
    assert (await outcome(new)).next == ("question",)


async def test_a_graph_that_only_got_new_nodes_goes_on() -> None:
    saver = MortalSaver()
    old, new = deploy(saver, *BEFORE), deploy(saver, *BEFORE, ("after", graphs.plain("after")))
    await attempt(claim_of({"log": []}), old)
    await attempt(claim_of(command={"resume": "yes"}), new)
    assert (await outcome(new)).values["log"] == ["a", "q1=yes", "z", "after"]
