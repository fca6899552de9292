"""The graphs of langgraph.json, loaded: what an attempt, a state query or a description opens by graph id."""

import copy
import hashlib
import importlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext

from lineshaft.config import modules
from lineshaft.config.langgraph_json import Config, GraphSpec
from lineshaft.errors import Invalid, NotFound

from .factories import Factory, as_graph

Graph = Pregel[Any, Any, Any, Any]
OnEvent = Callable[[dict[str, Any]], None]

# What langgraph calls a graph that was compiled without a name.
_DEFAULT_NAME = "LangGraph"


# The function of a graph's module that returns stream transformers; its name is the official server's.
_TRANSFORMERS = "stream_transformers"


def _nobody_listens(event: dict[str, Any]) -> None:
    """For callers that only want the graphs."""


@dataclass(frozen=True)
class LoadError:
    """Why a graph does not load: one line with file and line of the user's code, and the files to watch for a cure."""

    text: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class LoadedGraph:
    """One graph that loads."""

    spec: GraphSpec
    source: Graph | Factory
    revision: str  # of the source file's content
    seconds: float  # that loading took
    transformers: tuple[Any, ...] = ()  # that its module adds to the graph's own, see `stream_transformers` there


class Graphs:
    """All graphs of one configuration. Those that do not load are in `errors` and never hinder the others."""

    def __init__(self, config: Config, on_event: OnEvent) -> None:
        self.config = config
        self.loaded: dict[str, LoadedGraph] = {}
        self.errors: dict[str, LoadError] = {}
        self._on_event = on_event

    @classmethod
    def load(cls, config: Config, on_event: OnEvent = _nobody_listens) -> "Graphs":
        """Import every graph; `on_event` hears what is being loaded and how it went.

        Call it where no event loop runs: user modules may use `asyncio.run`.
        """
        graphs = cls(config, on_event)
        modules.put_on_path(config.dependencies)
        for graph_id in config.graphs:
            graphs.retry(graph_id)
        return graphs

    @property
    def names(self) -> list[str]:
        """The ids of the graphs that load."""
        return list(self.loaded)

    def is_factory(self, graph_id: str) -> bool:
        """Whether the graph is built anew for each use."""
        return isinstance(self.loaded[graph_id].source, Factory)

    def retry(self, graph_id: str) -> bool:
        """Load one graph that is not loaded, for instance because its file was mended; whether it loads now."""
        spec = self.config.graphs[graph_id]
        self._on_event({"event": "loading", "graph": graph_id})
        importlib.invalidate_caches()  # a file that was made since the last attempt must be found
        modules_before = set(sys.modules)
        start = time.perf_counter()
        try:
            module = self._module(spec)
            source = self._source(spec, module)
            transformers = tuple(getattr(module, _TRANSFORMERS, tuple)())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever user code raises is for its author to read
            failure = modules.Failure(error, self.config.dependencies)
            files = [*failure.files, *modules.forget(set(sys.modules) - modules_before, self.config.dependencies)]
            if spec.file:
                files.insert(0, spec.file)
            self.errors[graph_id] = LoadError(failure.text, tuple(dict.fromkeys(map(str, files))))
            self._on_event({"event": "graph", "graph": graph_id, "error": failure.text})
            return False
        seconds = time.perf_counter() - start
        self.errors.pop(graph_id, None)
        self.loaded[graph_id] = LoadedGraph(spec, source, _revision(module), seconds, transformers)
        self._on_event({"event": "graph", "graph": graph_id, "seconds": round(seconds, 3)})
        return True

    @asynccontextmanager
    async def open(
        self,
        graph_id: str,
        config: RunnableConfig,
        *,
        checkpointer: BaseCheckpointSaver[Any] | None,
        store: BaseStore | None,
        context: Any = None,
        access: AccessContext = "threads.create_run",
    ) -> AsyncIterator[Graph]:
        """A graph for one use, with our checkpointer and store in place of those it was compiled with.

        Factories are called here and cleaned up at the end; `access` tells them what the graph is for. Subgraphs keep
        their own `checkpointer` setting. Raises NotFound, or Invalid for a graph that does not load.
        """
        loaded = self.loaded.get(graph_id)
        if loaded is None:
            if error := self.errors.get(graph_id):
                raise Invalid(f"Graph {graph_id!r} does not load: {error.text}")
            raise NotFound(f"Graph {graph_id!r} not found; there are: {', '.join(self.names)}")
        if isinstance(loaded.source, Factory):
            async with loaded.source.build(config, access=access, store=store, context=context) as built:
                yield _equipped(_named(built, graph_id), loaded, checkpointer, store)
        else:
            graph = copy.copy(loaded.source)  # shallow, 5 us; Pregel.copy validates anew, 50 us
            yield _equipped(graph, loaded, checkpointer, store)

    def _module(self, spec: GraphSpec) -> ModuleType:
        if spec.file is None:
            return importlib.import_module(str(spec.module))
        if not spec.file.is_file():
            raise FileNotFoundError(f"{modules.shown(spec.file, self.config.dependencies)} does not exist")
        return modules.load_file(spec.file, self.config.root.resolve())

    def _source(self, spec: GraphSpec, module: ModuleType) -> Graph | Factory:
        name = modules.shown(spec.file, self.config.dependencies) if spec.file else module.__name__
        if not hasattr(module, spec.attribute):
            candidates = [key for key, value in vars(module).items() if _may_be_graph(key, value, module)]
            has = f"it has: {', '.join(candidates)}" if candidates else "nor anything else that could be a graph"
            raise AttributeError(f"module {name} has no attribute {spec.attribute!r}; {has}")
        value = getattr(module, spec.attribute)
        if isinstance(value, Pregel | StateGraph):
            return _named(as_graph(value), spec.graph_id)
        if callable(value):
            return Factory(value)
        raise TypeError(
            f"{spec.attribute!r} in {name} is of type {type(value).__name__}, not a graph, a builder or a factory"
        )


def _named(graph: Graph, graph_id: str) -> Graph:
    """A copy of a graph that goes by its graph id unless its author gave it a name."""
    graph = copy.copy(graph)
    if graph.name == _DEFAULT_NAME:
        graph.name = graph_id
    return graph


def _equipped(
    graph: Graph, loaded: LoadedGraph, checkpointer: BaseCheckpointSaver[Any] | None, store: BaseStore | None
) -> Graph:
    """The graph, which is the caller's own copy, with all that it is given here."""
    graph.checkpointer = checkpointer
    graph.store = store
    graph.stream_transformers = (*graph.stream_transformers, *loaded.transformers)
    return graph


def _may_be_graph(name: str, value: Any, module: ModuleType) -> bool:
    if name.startswith("_"):
        return False
    if isinstance(value, Pregel | StateGraph):
        return True
    return callable(value) and not isinstance(value, type) and getattr(value, "__module__", None) == module.__name__


def _revision(module: ModuleType) -> str:
    file = module.__file__
    content = Path(file).read_bytes() if file else b""
    return hashlib.sha256(content).hexdigest()[:12]
