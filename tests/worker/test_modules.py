"""Loading the files of graphs: their names in `sys.modules`, and what is said of those that fail."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.project import PRELUDE, Project, new_project, result


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with new_project(tmp_path) as project:
        yield project


async def test_a_file_is_loaded_once_under_the_name_that_others_import_it_by(project: Project) -> None:
    files = {
        "flows/chat.py": PRELUDE
        + "from .words import HELLO\ngraph = build(HELLO)\nsecond = build('second')\nloads = [1]",
        "flows/words.py": "HELLO = 'hello'",
        "other.py": "from flows.chat import graph, loads\nloads.append(2)",
    }
    graphs = project.load(
        {"a": "./flows/chat.py:graph", "b": "./flows/chat.py:second", "c": "./other.py:graph"},
        files,
        dependencies=["."],
    )
    assert graphs.errors == {}
    module = importlib.import_module("flows.chat")
    assert module.loads == [1, 2]
    assert module.State.__module__ == "flows.chat"  # what a checkpoint says of the state's class
    assert await result(graphs, "a") == "hello"
    assert await result(graphs, "c") == "hello"


def test_packages_above_a_graph_file_are_not_run(project: Project) -> None:
    files = {"src/agent/__init__.py": "import not_installed_here", "src/agent/graph.py": PRELUDE + "graph = build('x')"}
    assert project.load({"agent": "./src/agent/graph.py:graph"}, files).errors == {}


@pytest.mark.parametrize("name", ["json.py", "redis.py", "my-agent.py"])
def test_a_file_that_import_cannot_reach_gets_a_stable_name_of_its_own(project: Project, name: str) -> None:
    before = set(sys.modules)  # other tests load files too
    graphs = project.load({"agent": f"./{name}:graph"}, {name: PRELUDE + "graph = build('x')\nhere = __name__"})
    assert graphs.errors == {}
    (module,) = [sys.modules[key] for key in set(sys.modules) - before if key.startswith("lineshaft_graph_")]
    assert module.__name__.startswith("lineshaft_graph_" + name.removesuffix(".py").replace("-", "_") + "_")
    assert importlib.import_module(module.__name__) is module
    assert json.loads("1") == 1


def test_a_revision_changes_with_the_source(project: Project) -> None:
    first = (
        project.load({"agent": "./one.py:graph"}, {"one.py": PRELUDE + "graph = build('x')"}).loaded["agent"].revision
    )
    same = (
        project.load({"agent": "./two.py:graph"}, {"two.py": PRELUDE + "graph = build('x')"}).loaded["agent"].revision
    )
    other = (
        project.load({"agent": "./three.py:graph"}, {"three.py": PRELUDE + "graph = build('y')"})
        .loaded["agent"]
        .revision
    )
    assert first == same != other
    assert len(first) == 12


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "import nowhere_to_be_found",
            "ModuleNotFoundError: No module named 'nowhere_to_be_found' (broken.py, line 1)",
        ),
        ("x = 1\nraise ValueError('no\\n  key')", "ValueError: no key (broken.py, line 2)"),
        ("x = 1\ndef graph(:", "SyntaxError: invalid syntax (broken.py, line 2)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (broken.py, line 2)"),
        (
            "import json\njson.loads('{')",
            "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 ",
        ),
        ("from lib.inner import x", "ZeroDivisionError: division by zero (lib/inner.py, line 2)"),
        ("graph = 3", "TypeError: 'graph' in broken.py is of type int, not a graph, a builder or a factory"),
        (
            "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)",
            "ValueError: Graph must have an entrypoint",
        ),
    ],
)
async def test_a_graph_that_does_not_load_names_the_place_and_hinders_no_other(
    project: Project, source: str, says: str
) -> None:
    files = {"broken.py": source, "lib/inner.py": "# inner\n1 / 0", "agent.py": PRELUDE + "graph = build('x')"}
    graphs = project.load({"broken": "./broken.py:graph", "agent": "./agent.py:graph"}, files)
    assert graphs.names == ["agent"]
    assert graphs.errors["broken"].text.startswith(says)
    assert str(project.folder / "broken.py") in graphs.errors["broken"].files
    assert "broken" not in sys.modules
    assert await result(graphs) == "x"


def test_a_missing_attribute_names_what_is_there(project: Project) -> None:
    source = PRELUDE + "workflow = build('x')\ndef make_graph(): return workflow\n_hidden = workflow"
    graphs = project.load({"a": "./a.py:graph", "b": "./b.py:graph"}, {"a.py": source, "b.py": "x = 1"})
    says = "AttributeError: module a.py has no attribute 'graph'; it has: build, workflow, make_graph"
    assert graphs.errors["a"].text == says
    assert graphs.errors["b"].text.endswith("no attribute 'graph'; nor anything else that could be a graph")


async def test_a_mended_file_is_loaded_anew_with_what_it_imports(project: Project) -> None:
    files = {"agent.py": PRELUDE + "from words import HELLO\ngraph = build(HELLO)", "words.py": "HELO = 'hello'"}
    graphs = project.load({"agent": "./agent.py:graph"}, files)
    error = graphs.errors["agent"]
    assert "cannot import name 'HELLO' from 'words'" in error.text
    assert set(error.files) == {str(project.folder / "agent.py"), str(project.folder / "words.py")}
    assert graphs.retry("agent") is False
    (project.folder / "words.py").write_text("HELLO = 'hello'")
    assert graphs.retry("agent") is True
    assert graphs.errors == {}
    assert await result(graphs) == "hello"


async def test_a_file_that_was_missing_can_be_retried(project: Project) -> None:
    graphs = project.load({"agent": "./late.py:graph"}, {})
    assert graphs.errors["agent"].files == (str(project.folder / "late.py"),)
    (project.folder / "late.py").write_text(PRELUDE + "graph = build('x')")
    assert graphs.retry("agent")
    assert await result(graphs) == "x"


def test_loading_is_reported_as_it_goes(project: Project) -> None:
    project.load({"a": "./a.py:graph", "b": "./b.py:graph"}, {"a.py": PRELUDE + "graph = build('x')", "b.py": "1/0"})
    first, second, third, fourth = project.events
    assert first == {"event": "loading", "graph": "a"}
    assert second["event"] == "graph"
    assert second["seconds"] >= 0
    assert third == {"event": "loading", "graph": "b"}
    assert fourth == {"event": "graph", "graph": "b", "error": "ZeroDivisionError: division by zero (b.py, line 1)"}
