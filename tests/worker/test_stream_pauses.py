"""How pauses, failures and a stopping worker show in what a graph streams."""

import asyncio

import pytest
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl

from tests.shared.until import until

from . import run_graphs
from .player import HI, Opener


# pauses
async def test_an_interrupt_shows_in_values_and_updates_and_tasks(player: Opener) -> None:
    asking = await player("asking")
    events = await asking.play({"log": []}, "values", "updates", "tasks")
    (asked,) = [data for name, data in events if name == "updates"][-1]["__interrupt__"]
    assert asked == {"value": {"question": "go on?"}, "id": asked["id"], "response_schema": None}
    assert [data for name, data in events if name == "values"][-1] == {"log": ["a"], "__interrupt__": [asked]}
    (told,) = [data for name, data in events if name == "tasks"][-1]["interrupts"]
    assert told["id"] == asked["id"] and told["value"] == asked["value"]


async def test_values_alone_tell_of_an_interrupt(player: Opener) -> None:
    events = await (await player("asking")).play({"log": []}, "values")
    assert "__interrupt__" in events[-1][1]


async def test_two_questions_come_one_by_one(player: Opener) -> None:
    events = await (await player("two_questions")).play({"log": []}, "values")
    assert [len(data.get("__interrupt__", ())) for _, data in events] == [0, 1, 1]


async def test_an_interrupt_inside_is_told_there_and_above(player: Opener) -> None:
    events = await (await player("nested")).play({**HI, "pause": True}, "values", subgraphs=True)
    told = [(name, data["__interrupt__"]) for name, data in events if "__interrupt__" in data]
    assert [name.partition(":")[0] for name, _ in told] == ["values|child", "values"]
    assert told[0][1] == told[1][1]


async def test_breakpoints(player: Opener) -> None:
    linear = await player("linear")
    events = await linear.play({"log": []}, "values", "updates", interrupt_before=["b"])
    assert events[-1] == ("updates", {"__interrupt__": []})
    assert not any("__interrupt__" in data for name, data in events if name == "values")
    assert (await linear.play(None, "updates", interrupt_after="*"))[-2:] == [
        ("updates", {"b": {"log": ["b"]}}),
        ("updates", {"__interrupt__": []}),
    ]


# ends
@pytest.mark.parametrize("modes", [("values",), ("values", "events")])
@pytest.mark.parametrize("graph", ["failing", "nested"])
async def test_what_a_node_raises_is_raised(player: Opener, graph: str, modes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="boom"):
        await (await player(graph)).play({**HI, "fail": True}, *modes, subgraphs=True)


@pytest.mark.parametrize("modes", [("values",), ("values", "events")])
async def test_a_drained_run_stops_at_the_next_step(player: Opener, modes: tuple[str, ...]) -> None:
    held = await player("held")
    running = asyncio.create_task(held.play({"log": []}, *modes))
    await until(lambda: "hold gate" in run_graphs.ENTERED, "the node has begun")
    held.control.request_drain("test")
    run_graphs.GATES["gate"].set()
    with pytest.raises(GraphDrained):
        await running
    assert "z" not in run_graphs.ENTERED
    held.control = RunControl()
    assert [data for name, data in await held.play(None, "values") if name == "values"][-1]["log"] == ["a", "hold", "z"]
