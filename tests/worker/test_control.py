"""Questions about threads that only a graph can answer."""

import json
from typing import get_args

import pytest

from lineshaft.assistants.queries import Kind
from lineshaft.errors import BadRequest, NotFound
from lineshaft.threads.state import EMPTY_STATE
from lineshaft_worker.control import States
from tests.shared.until import until

from . import run_graphs
from .asker import Asker
from .in_process import InProcessWorker, Office


def test_every_kind_of_question_has_an_answer() -> None:
    assert all(hasattr(States, f"_{kind}") for kind in get_args(Kind))


# reading
async def test_the_state_of_an_empty_thread(asker: Asker, thread: str) -> None:
    assert await asker.ask("state", thread) == json.loads(EMPTY_STATE)
    assert await asker.ask("history", thread, limit=10) == []


@pytest.mark.usefixtures("worker")
async def test_the_state_after_a_run(asker: Asker, office: Office, thread: str) -> None:
    await office.run("linear", thread, {"log": []})
    state = await asker.ask("state", thread)
    assert state["values"] == {"log": ["a", "b", "c"]}
    assert state == await asker.stored(thread)
    history = await asker.ask("history", thread, limit=3)
    assert [past["metadata"]["step"] for past in history] == [3, 2, 1]
    assert history[0] == state
    past = await asker.ask("state", thread, checkpoint=history[2]["checkpoint"])
    assert past == history[2] and past["next"] == ["b"]


@pytest.mark.usefixtures("worker")
async def test_a_page_of_history(asker: Asker, office: Office, thread: str) -> None:
    await office.run("linear", thread, {"log": []})
    every = await asker.ask("history", thread, limit=10)
    assert [past["metadata"]["step"] for past in every] == [3, 2, 1, 0, -1]
    assert await asker.ask("history", thread, limit=2, before=every[1]["checkpoint_id"]) == every[2:4]
    assert await asker.ask("history", thread, limit=9, metadata={"source": "input"}) == every[-1:]
    assert await asker.ask("history", thread, limit=9, checkpoint=every[2]["checkpoint"]) == every[2:3]


@pytest.mark.usefixtures("worker")
async def test_a_history_is_found_by_all_metadata_that_it_shows(asker: Asker, office: Office, thread: str) -> None:
    await office.run("linear", thread, {"log": []})
    (latest,) = await asker.ask("history", thread, limit=1)
    assert latest["metadata"]["thread_id"] == thread
    assert await asker.ask("history", thread, limit=9, metadata=latest["metadata"]) == [latest]
    assert await asker.ask("history", thread, limit=9, metadata={"thread_id": "another"}) == []


async def test_a_state_asked_for_during_a_run_is_kept_for_the_next_asker(
    asker: Asker, office: Office, worker: InProcessWorker, thread: str
) -> None:
    await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    await until(lambda: _at(asker, thread, "hold"), "the step before is stored")
    state = await asker.ask("state", thread, "held")
    assert (state["values"], state["next"]) == ({"log": ["a"]}, ["hold"])
    assert await asker.stored(thread) == state
    run_graphs.GATES["gate"].set()
    await until(lambda: not worker.runs.tasks, "the run has ended")
    assert (await asker.stored(thread))["values"] == {"log": ["a", "hold", "z"]}


async def _at(asker: Asker, thread: str, node: str) -> bool:
    return bool((await asker.ask("state", thread, "held"))["next"] == [node])


@pytest.mark.usefixtures("worker")
async def test_states_of_subgraphs(asker: Asker, office: Office, thread: str) -> None:
    await office.run("nested", thread, {"messages": [], "pause": True})
    (task,) = (await asker.ask("state", thread, "nested"))["tasks"]
    assert task["state"] is None
    (with_child,) = (await asker.ask("state", thread, "nested", subgraphs=True))["tasks"]
    child = await asker.ask("state", thread, "nested", checkpoint=task["checkpoint"])
    assert child["next"] == with_child["state"]["next"] == ["inner"]
    (inner,) = await asker.ask("history", thread, "nested", limit=1, checkpoint=task["checkpoint"])
    assert inner["checkpoint_id"] == child["checkpoint_id"]


async def test_a_graph_that_is_not_there(asker: Asker, thread: str) -> None:
    assert isinstance(await asker.outcome("state", thread, "nowhere"), NotFound)


@pytest.mark.parametrize(("graph", "text"), [("broken", "RuntimeError: no connection"), ("quitting", "SystemExit")])
@pytest.mark.parametrize("kind", ["state", "update"])
async def test_a_factory_that_fails(asker: Asker, thread: str, kind: Kind, graph: str, text: str) -> None:
    outcome = await asker.outcome(kind, thread, graph, values={"log": []})
    assert isinstance(outcome, BadRequest) and text in str(outcome)
    await asker.ask("update", thread, values={"log": ["x"]}, as_node="a")
    assert (await asker.ask("state", thread))["values"] == {"log": ["x"]}
