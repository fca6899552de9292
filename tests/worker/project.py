"""A user's project for the tests of what loads it: files and a langgraph.json in a folder of the test's own."""

import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langgraph.store.memory import InMemoryStore

from lineshaft.config import langgraph_json
from lineshaft_worker.graphs import Graphs

# Put before the source of a graph: a builder of one node that returns what the graph's maker put into `mark`.
PRELUDE = """
from typing import Any
from typing_extensions import TypedDict
from langgraph.graph import END, START, StateGraph
from langchain_core.runnables import RunnableConfig

class State(TypedDict, total=False):
    mark: Any

def build(mark):
    builder = StateGraph(State)
    builder.add_node("node", lambda state: {"mark": mark})
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder

"""


class Project:
    """A folder with a langgraph.json; `events` holds what loading reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []

    def load(self, graphs: dict[str, Any], files: dict[str, str], **document: Any) -> Graphs:
        """Write these files and a langgraph.json with these graphs, and load it."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(textwrap.dedent(text))
        file = self.folder / "langgraph.json"
        file.write_text(json.dumps({"graphs": graphs, **document}))
        return Graphs.load(langgraph_json.load(file), self.events.append)

    def load_one(self, source: str) -> Graphs:
        """Load `graph` of a file with this source as `agent`."""
        return self.load({"agent": "./agent.py:graph"}, {"agent.py": source})


@contextmanager
def new_project(folder: Path) -> Iterator[Project]:
    """A project whose modules are gone at the end, `sys.path` being as before."""
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield Project(folder)
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file is None or Path(file).is_relative_to(folder):  # namespace packages have no file
                del sys.modules[name]


async def result(graphs: Graphs, graph_id: str = "agent", config: Any = None, **options: Any) -> Any:
    """What a run of a graph leaves in `mark`."""
    config = config or {"configurable": {}}
    async with graphs.open(graph_id, config, checkpointer=None, store=InMemoryStore(), **options) as graph:
        return (await graph.ainvoke({"mark": "input"}))["mark"]
