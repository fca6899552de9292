"""`python -m lineshaft_worker.check`: loads the graphs as a worker would, and says a line about each."""

import asyncio
import sys
from pathlib import Path

from lineshaft.config import langgraph_json as config
from lineshaft.config.settings import from_environment
from lineshaft.errors import ConfigError

from .graphs import Graphs
from .index import load_index
from .schemas import describe


def main() -> int:
    """One argument: langgraph.json. Exit code 1 if a worker would not start with it."""
    try:
        settings = from_environment()
        graphs = Graphs.load(config.load(Path(sys.argv[1])))
        index = load_index(graphs.config, settings.langgraph_store.index)
    except ConfigError as error:
        _say("wrong", str(error))
        return 1
    if index:
        _say("ok", "store.index: its embeddings load")
    problems = [asyncio.run(_check(graphs, graph_id)) for graph_id in graphs.config.graphs]
    return int(any(problems))


async def _check(graphs: Graphs, graph_id: str) -> bool:
    """Whether something is wrong with a graph."""
    described = await describe(graphs, graph_id)
    if described.error:
        _say("wrong", f"graph {graph_id}: {described.error}")
        return True
    schemas = {name: getattr(described, f"{name}_schema") for name in ("input", "output", "state", "config", "context")}
    missing = [name for name, schema in schemas.items() if bytes(schema) == b"null"]
    said = f"no schema of its {', '.join(missing)}" if missing else "all schemas"
    _say("ok", f"graph {graph_id} loads in {graphs.loaded[graph_id].seconds:.1f} s: {said}")
    return False


def _say(how: str, what: str) -> None:
    print(f"{how:6} {what}")  # noqa: T201 - what the command is for


if __name__ == "__main__":
    sys.exit(main())
