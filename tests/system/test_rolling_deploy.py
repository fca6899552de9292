"""Workers of two revisions of an app on one Redis, as in every deploy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client

from tests.system.fleet import KEYS, Fleet
from tests.system.journal import until

pytestmark = pytest.mark.xdist_group("faults")

GRAPHS = """
from typing import TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    before: str
    answer: str
    {extra}: str


def flow(question):
    builder = StateGraph(State)
    builder.add_node("first", lambda state: {{"before": "done"}})
    builder.add_node(question, lambda state: {{"answer": interrupt("May I?")}})
    builder.add_edge(START, "first")
    builder.add_edge("first", question)
    return builder.compile()


graph = flow("{question}")
"""


def app(folder: Path, name: str, question: str, graphs: list[str]) -> Path:
    """An app of one revision: its langgraph.json."""
    project = folder / name
    project.mkdir()
    (project / "flow.py").write_text(GRAPHS.format(question=question, extra=f"only_{name}"))
    config = project / "langgraph.json"
    config.write_text(json.dumps({"dependencies": ["."], "graphs": dict.fromkeys(graphs, "./flow.py:graph")}))
    return config


@pytest.fixture
def cell() -> Iterator[Fleet]:
    with Fleet(env={"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "1"}) as cell:
        cell.gateway()
        yield cell


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return app(tmp_path, "old", "ask", ["flow"])


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return app(tmp_path, "new", "approve", ["flow", "added"])


async def test_a_thread_that_waits_at_a_removed_node_is_left_as_it_is(cell: Fleet, old: Path, new: Path) -> None:
    before = cell.worker(old)
    await cell.ready()
    async with get_client(url=cell.url) as sdk:
        thread_id = (await sdk.threads.create())["thread_id"]
        await sdk.runs.wait(thread_id, "flow", input={})
        paused = await sdk.threads.get(thread_id)
        assert paused["status"] == "interrupted"

        after = cell.worker(new)
        await cell.ready()
        assert before.stop() == 0
        failed: Any = await sdk.runs.wait(thread_id, "flow", command={"resume": "yes"}, raise_error=False)
        assert failed["__error__"]["error"] == "GraphChanged"
        assert "'ask'" in failed["__error__"]["message"]
        refused = await sdk.threads.get(thread_id)
        assert refused["status"] == "error"
        assert (refused["values"], refused["interrupts"]) == (paused["values"], paused["interrupts"])

        # The deploy is taken back, and the answer comes to the one who asked.
        cell.worker(old)
        await cell.ready()
        assert after.stop() == 0
        answered = await sdk.runs.wait(thread_id, "flow", command={"resume": "yes"})
        assert answered == {"before": "done", "answer": "yes"}
        newest, *_ = await sdk.runs.list(thread_id)
        assert cell.record(newest["run_id"])["revision"] == cell.redis.hget(KEYS.graph("flow"), "revision").decode()


async def test_clients_see_the_newest_revision_while_both_live(cell: Fleet, old: Path, new: Path) -> None:
    cell.worker(old)
    await cell.ready()

    def fields() -> set[str]:
        """Of the state, as gateways describe it."""
        descriptor = json.loads(cell.redis.hget(KEYS.graph("flow"), "descriptor"))
        return set(descriptor["state_schema"]["properties"])

    assert fields() == {"before", "answer", "only_old"}
    newer = cell.worker(new)
    await cell.ready()
    assert fields() == {"before", "answer", "only_new"}
    # One more of the old ones, as when a pod is replaced in the midst of it.
    cell.worker(old)
    await cell.ready()
    assert fields() == {"before", "answer", "only_new"}
    # The new ones crash, all of them.
    newer.kill()
    await until(lambda: "only_old" in fields(), "the old revision is served when the new one's lease has run out")


async def test_a_run_of_a_graph_that_only_the_new_revision_has_waits_for_it(cell: Fleet, old: Path, new: Path) -> None:
    newer = cell.worker(new)
    await cell.ready()
    async with get_client(url=cell.url) as sdk:
        assert newer.stop() == 0
        cell.worker(old)
        await cell.ready()
        thread_id = (await sdk.threads.create())["thread_id"]
        run = await sdk.runs.create(thread_id, "added", input={})
        await until(lambda: "lacked" in cell.record(run["run_id"]), "a worker without the graph has let it go")
        cell.worker(new)
        await sdk.runs.join(thread_id, run["run_id"])
        record = cell.record(run["run_id"])
        assert (record["status"], record["attempt"]) == ("success", "1")
        # Both live, and it does not matter which of them looks first.
        for _ in range(5):
            thread_id = (await sdk.threads.create())["thread_id"]
            await sdk.runs.wait(thread_id, "added", input={})
            assert (await sdk.threads.get(thread_id))["values"] == {"before": "done"}
