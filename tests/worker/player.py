"""Runs a graph without a worker, for the tests of what it streams."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from langgraph.runtime import RunControl

from lineshaft.runs.request import RunSpec
from lineshaft_worker.graphs import Graph
from lineshaft_worker.streaming import stream_run

RUN = "0197a7c1-7f6e-7c7e-8f39-7d4a1f2b3c4d"
HI = {"messages": [{"role": "user", "content": "hi", "id": "h"}]}
Events = list[tuple[str, Any]]
Opener = Callable[[str], Any]


class Player:
    """Runs a graph on a thread of its own; a second call goes on where the first one stopped."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.control = RunControl()

    def stream(self, graph_input: Any, *modes: Any, **spec: Any) -> AsyncIterator[Any]:
        return stream_run(
            self.graph,
            graph_input,
            {"configurable": {"thread_id": "t", "secret": object()}, "recursion_limit": 100},
            context=None,
            spec=RunSpec(assistant_id="", stream_mode=list(modes), **spec),
            control=self.control,
            run_id=RUN,
        )

    async def play(self, graph_input: Any, *modes: Any, **spec: Any) -> Events:
        return [(name, json.loads(data)) async for name, data in self.stream(graph_input, *modes, **spec)]


def names(events: Events) -> list[str]:
    return [name for name, _ in events]
