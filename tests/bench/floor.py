"""What langgraph alone costs on this machine: the same graphs in this process, checkpoints in memory, no server."""

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from tests.bench.graphs import BUILDERS, graph_input


def _runner(graph: str) -> Callable[[], Awaitable[None]]:
    compiled = BUILDERS[graph].compile(checkpointer=InMemorySaver())
    given: Any = graph_input(graph)

    async def run() -> None:
        config: RunnableConfig = {"configurable": {"thread_id": uuid.uuid4().hex}}
        if graph == "tokens":
            async for _ in compiled.astream(given, config, stream_mode="messages"):
                pass
        else:
            await compiled.ainvoke(given, config)

    return run


async def cpu_ms(graph: str, runs: int) -> float:
    """CPU milliseconds of one run, over `runs` one after another."""
    run = _runner(graph)
    for _ in range(3):  # caches, first use of code paths
        await run()
    before = time.process_time()
    for _ in range(runs):
        await run()
    return (time.process_time() - before) * 1000 / runs
