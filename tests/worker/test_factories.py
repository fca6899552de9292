"""Factories: how each signature is understood, and that what they open is closed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.project import PRELUDE, Project, new_project, result


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with new_project(tmp_path) as project:
        yield project


@pytest.mark.parametrize(
    "signature",
    [
        "config",
        "config: RunnableConfig",
        "settings: RunnableConfig",
        "settings",
        "settings, /",
        "*, config",
        "config: RunnableConfig = None, other=3",
        "config: 'NotImported'",
        "settings: 'RunnableConfig'",
    ],
)
async def test_a_factory_gets_the_config(project: Project, signature: str) -> None:
    argument = signature.replace("*, ", "").split(",")[0].split(":")[0].strip()
    source = f"def graph({signature}): return build({argument}['configurable']['user'])"
    graphs = project.load_one(PRELUDE + source)
    assert graphs.errors == {}
    assert await result(graphs, config={"configurable": {"user": "ada"}}) == "ada"


@pytest.mark.parametrize(
    "signature",
    [
        "runtime: ServerRuntime[Settings]",
        "runtime: 'ServerRuntime[Settings]'",
        "config, runtime: ServerRuntime[Settings]",
        "runtime: ServerRuntime[Settings], anything",
        "config: RunnableConfig, *, runtime: ServerRuntime[Settings]",
    ],
)
async def test_a_factory_gets_the_runtime_with_its_context_and_user(project: Project, signature: str) -> None:
    source = f"""
from dataclasses import dataclass
from langgraph_sdk.runtime import ServerRuntime
@dataclass
class Settings:
    tone: str = "plain"
async def graph({signature}):
    execution = runtime.execution_runtime
    tone = execution and execution.context.tone
    return build([runtime.access_context, tone, runtime.user, runtime.store is not None])
"""
    graphs = project.load_one(PRELUDE + source)
    assert graphs.errors == {}
    config = {"configurable": {"langgraph_auth_user": "ada"}}
    ran = await result(graphs, config=config, context={"tone": "warm"})
    assert ran == ["threads.create_run", "warm", "ada", True]
    assert (await result(graphs, access="threads.read"))[:2] == ["threads.read", None]


async def test_a_runtime_is_known_by_its_name_and_by_its_place(project: Project) -> None:
    source = """
def by_name(runtime): return build(runtime.access_context)
def by_place(anything, other): return build([anything["configurable"], other.access_context])
"""
    graphs = project.load({"a": "./agent.py:by_name", "b": "./agent.py:by_place"}, {"agent.py": PRELUDE + source})
    assert await result(graphs, "a") == "threads.create_run"
    assert await result(graphs, "b") == [{}, "threads.create_run"]


def test_a_factory_that_wants_more_does_not_load(project: Project) -> None:
    graphs = project.load({"a": "./a.py:graph"}, {"a.py": "def graph(config, runtime, model): ..."})
    assert "'model' is neither" in graphs.errors["a"].text


async def test_a_factory_is_called_for_each_use_and_cleans_up_after_it(project: Project) -> None:
    source = """
calls = []
async def graph(config):
    calls.append("open")
    try:
        yield build(len(calls))
    finally:
        calls.append("close")
"""
    graphs = project.load({"agent": "./counted.py:graph"}, {"counted.py": PRELUDE + source})
    calls = sys.modules["counted"].calls
    assert calls == []
    assert await result(graphs) == 1
    assert await result(graphs) == 3
    with pytest.raises(RuntimeError, match="the run failed"):
        async with graphs.open("agent", {}, checkpointer=None, store=None):
            raise RuntimeError("the run failed")
    assert calls == ["open", "close"] * 3


async def test_a_factory_that_makes_no_graph_says_so_when_used(project: Project) -> None:
    graphs = project.load_one("def graph(): return 3")
    with pytest.raises(TypeError, match="expected a compiled graph or a StateGraph, got int"):
        await result(graphs)
