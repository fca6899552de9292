"""Opening graphs by id: every form in which users write them, with our checkpointer and store attached."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from lineshaft.errors import Invalid, NotFound
from tests.worker.project import PRELUDE, Project, new_project, result


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with new_project(tmp_path) as project:
        yield project


@pytest.mark.parametrize(
    "source",
    [
        "graph = build('x').compile()",
        "graph = build('x')",
        "def graph(): return build('x').compile()",
        "def graph(): return build('x')",
        "async def graph(): return build('x').compile()",
        "graph = lambda config: build('x').compile()",
        "from contextlib import contextmanager\n@contextmanager\ndef graph(): yield build('x')",
        "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def graph(): yield build('x')",
        "def graph(): yield build('x')",
        "async def graph(config: RunnableConfig): yield build('x')",
        "class Maker:\n    def __call__(self, config): return build('x')\ngraph = Maker()",
    ],
)
async def test_every_form_of_a_graph_runs(project: Project, source: str) -> None:
    graphs = project.load_one(PRELUDE + source)
    assert graphs.errors == {}
    assert graphs.names == ["agent"]
    assert await result(graphs) == "x"


async def test_a_functional_graph_runs(project: Project) -> None:
    source = """
        from langgraph.func import entrypoint
        @entrypoint()
        async def workflow(inputs: dict) -> dict:
            return {"mark": inputs["mark"] + "!"}
    """
    assert await result(project.load({"agent": "./agent.py:workflow"}, {"agent.py": source})) == "input!"


async def test_a_graph_may_be_named_by_module(project: Project) -> None:
    files = {"src/project_by_module/__init__.py": "", "src/project_by_module/agent.py": PRELUDE + "graph = build('m')"}
    graphs = project.load({"agent": "project_by_module.agent:graph"}, files, dependencies=["./src"])
    assert await result(graphs) == "m"


async def test_our_checkpointer_and_store_replace_those_compiled_in(project: Project) -> None:
    source = """
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
child = build("child").compile(checkpointer=False)
parent = StateGraph(State)
parent.add_node("child", child)
parent.add_edge(START, "child")
graph = parent.compile(checkpointer=InMemorySaver(), store=InMemoryStore())
stateless = build("x").compile(checkpointer=False)
"""
    graphs = project.load({"agent": "./own.py:graph", "none": "./own.py:stateless"}, {"own.py": PRELUDE + source})
    saver, store = InMemorySaver(), InMemoryStore()
    config: Any = {"configurable": {"thread_id": "t"}}
    for graph_id in ("agent", "none"):
        async with graphs.open(graph_id, config, checkpointer=saver, store=store) as graph:
            await graph.ainvoke({}, config)
            assert (await graph.aget_state(config)).values["mark"] in ("child", "x")
            assert graph.store is store
            assert all(vars(child)["checkpointer"] is False for _, child in graph.get_subgraphs())
    # The user's own object is as it was.
    user_module: Any = sys.modules["own"]
    assert user_module.graph.checkpointer is not saver
    assert user_module.stateless.checkpointer is False


async def test_two_uses_at_once_do_not_share_a_checkpointer(project: Project) -> None:
    graphs = project.load_one(PRELUDE + "graph = build('x').compile()")
    one, two = InMemorySaver(), InMemorySaver()
    async with (
        graphs.open("agent", {}, checkpointer=one, store=None) as first,
        graphs.open("agent", {}, checkpointer=two, store=None) as second,
    ):
        assert (first.checkpointer, second.checkpointer) == (one, two)


async def test_a_graph_without_a_name_goes_by_its_id(project: Project) -> None:
    source = "graph = build('x').compile()\nnamed = build('x').compile(name='mine')\ndef made(): return build('x')"
    specs = {"a": "./agent.py:graph", "b": "./agent.py:named", "c": "./agent.py:made", "d": "./agent.py:graph"}
    graphs = project.load(specs, {"agent.py": PRELUDE + source})
    names = []
    for graph_id in graphs.names:
        async with graphs.open(graph_id, {}, checkpointer=None, store=None) as graph:
            names.append(graph.name)
    assert names == ["a", "mine", "c", "d"]


async def test_an_unknown_graph_and_a_broken_one_are_told_apart(project: Project) -> None:
    graphs = project.load(
        {"agent": "./agent.py:graph", "broken": "./gone.py:graph"}, {"agent.py": PRELUDE + "graph = build('x')"}
    )
    with pytest.raises(NotFound, match="Graph 'other' not found; there are: agent"):
        await result(graphs, "other")
    with pytest.raises(Invalid, match=r"Graph 'broken' does not load: FileNotFoundError: gone\.py does not exist"):
        await result(graphs, "broken")


async def test_opening_a_static_graph_is_cheaper_than_langgraphs_own_copy(project: Project) -> None:
    graphs = project.load_one(PRELUDE + "graph = build('x').compile()")
    source: Any = graphs.loaded["agent"].source
    opened, copied = [], []
    for _ in range(200):
        start = time.perf_counter()
        async with graphs.open("agent", {}, checkpointer=None, store=None):
            pass
        between = time.perf_counter()
        source.copy({"checkpointer": None})
        opened.append(between - start)
        copied.append(time.perf_counter() - between)
    # It is on the way of each run: 8 us here, where the copy, which validates the graph anew, takes 50.
    assert sorted(opened)[100] < sorted(copied)[100]
