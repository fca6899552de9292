"""A run of protocol v2 in a worker: what its log holds from its first entry to its last."""

from typing import Any

import pytest

from lineshaft.events.log import status_told
from lineshaft.runs.request import PROTOCOL_MODES, RunCreate
from lineshaft.runs.run import RunStore

from . import run_graphs
from .in_process import Hire, InProcessWorker, Office

pytestmark = pytest.mark.usefixtures("worker")


async def start(office: Office, graph: str, thread: str, graph_input: Any, **fields: Any) -> str:
    return await office.start(graph, thread, graph_input, protocol_v2=True, **fields)


async def test_it_is_executed_by_the_protocol(office: Office, thread: str) -> None:
    run = await start(office, "linear", thread, {"log": ["in"]})
    assert await office.ended(run) == "success"
    events = await office.events(thread)
    assert [name for name, _ in events] == ["metadata", "values", *["updates", "values"] * 3, "end"]
    assert events[-1] == ("end", "success")
    shown = await RunStore(office.client).get(thread, run)
    assert shown.kwargs["stream_mode"] == PROTOCOL_MODES
    assert (shown.kwargs["subgraphs"], shown.kwargs["resumable"]) == (True, True)
    assert shown.kwargs["config"]["configurable"]["__event_streaming_v2"] is True
    assert shown.kwargs["context"] == {}
    assert (await RunStore(office.client).record(thread, run)).protocol_v2


async def test_an_ordinary_run_is_not(office: Office, thread: str) -> None:
    run = await office.start("linear", thread, {"log": []}, config={"configurable": {"__event_streaming_v2": True}})
    assert await office.ended(run) == "success"
    assert not (await RunStore(office.client).record(thread, run)).protocol_v2
    shown = await RunStore(office.client).get(thread, run)
    assert "__event_streaming_v2" not in shown.kwargs["config"]["configurable"]


async def test_a_pause_ends_its_log_as_one(office: Office, thread: str) -> None:
    run = await start(office, "asking", thread, {"log": []})
    assert await office.ended(run) == "success"
    events = await office.events(thread)
    assert [name for name, _ in events[-3:]] == ["values", "input.requested", "end"]
    assert events[-1] == ("end", "paused")


async def test_a_failure_ends_its_log_with_its_error(office: Office, thread: str) -> None:
    run = await start(office, "failing", thread, {"log": []})
    assert await office.ended(run) == "error"
    assert (await office.events(thread))[-2:] == [
        ("error", {"error": "ValueError", "message": "boom"}),
        ("end", "error"),
    ]


async def test_a_cancel_ends_its_log_as_interrupted(office: Office, thread: str) -> None:
    run = await start(office, "held", thread, {"log": []})
    await office.entered("hold gate")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    assert (await office.events(thread))[-1] == ("end", "interrupted")


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_run_whose_place_is_taken_says_so(office: Office, thread: str, strategy: str) -> None:
    first = await start(office, "held", thread, {"log": []})
    await office.entered("hold gate")
    second = await start(
        office, "held", thread, {"log": []}, multitask_strategy=strategy
    )  # runs when the first is over
    await office.entered("hold gate", 2)
    third = await start(office, "linear", thread, {"log": []}, multitask_strategy=strategy)
    assert await office.ended(third) == "success"
    assert await office.ended(first) == await office.ended(second)
    assert [data for name, data in await office.events(thread) if name == "end"] == ["superseded"] * 2 + ["success"]


async def test_a_waiting_run_whose_place_is_taken_says_so(office: Office, thread: str, worker: InProcessWorker) -> None:
    await worker.stop()
    await start(office, "linear", thread, {"log": []})
    await start(office, "linear", thread, {"log": []}, multitask_strategy="interrupt")
    assert await office.events(thread) == [("end", "superseded")]


async def test_a_run_given_back_goes_on_as_one_of_the_protocol(
    office: Office, thread: str, worker: InProcessWorker, hire: Hire
) -> None:
    run = await start(office, "held", thread, {"log": []})
    await office.entered("hold gate")
    worker.runs._grace = 0
    await worker.stop()
    await worker.leave()
    run_graphs.GATES["gate"].set()
    await hire()
    assert await office.ended(run) == "success"
    assert [data for name, data in await office.events(thread) if name == "updates"][-1].keys() == {"z"}


def test_what_an_end_tells() -> None:
    told = {b'"success"': "success", b'"paused"': "success", b'"superseded"': "interrupted", b'"error"': "error"}
    assert {data: status_told(data) for data in told} == told


def test_a_client_cannot_ask_for_modes_of_the_protocol() -> None:
    assert "tools" in PROTOCOL_MODES and "tools" not in str(RunCreate.__annotations__["stream_mode"])
