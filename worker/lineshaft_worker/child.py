"""`python -m lineshaft_worker.child`: loads the graphs and executes runs. Started by the parent, never by hand."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from lineshaft import config, log
from lineshaft.assistants import AssistantStore
from lineshaft.errors import ConfigError
from lineshaft.graphs import GraphRegistry
from lineshaft.loop import loop_factory
from lineshaft.parent_watch import die_with_parent
from lineshaft.redis import Client
from lineshaft.settings import Settings, from_environment

from .control import ControlLane
from .executor import Executor
from .graphs import Graphs
from .life import beat, say
from .parent import EXIT_CANNOT_START, EXIT_REPLACE
from .schemas import describe
from .store import RedisStore
from .worker import RunWorker

logger = log.get("worker")


def tell(event: dict[str, Any]) -> None:
    """Send one line to the parent."""
    say(int(os.environ["LINESHAFT_LIFE_FD"]), msgspec.json.encode(event))


def main() -> int:
    """Exit codes: 0 stopped, EXIT_REPLACE start another, EXIT_CANNOT_START do not."""
    die_with_parent()
    # Until the graphs are loaded there is nothing to drain.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--dev", action="store_true")
    options = parser.parse_args()
    settings = from_environment()
    log.configure(settings.log_level, settings.log_json)
    # A third of the lease: two beats may be late before the parent looks for other signs.
    beat(int(os.environ["LINESHAFT_LIFE_FD"]), settings.lineshaft_lease_seconds / 3)
    try:
        graphs = Graphs.load(config.load(Path(options.config)), on_event=tell)
    except ConfigError as error:
        _complain(str(error))
        return EXIT_CANNOT_START
    if graphs.errors and not options.dev:
        for graph_id, problem in graphs.errors.items():
            _complain(f"graph {graph_id} does not load: {problem}")
        return EXIT_CANNOT_START
    worker = os.environ["LINESHAFT_WORKER_ID"]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return run_to_the_end(runner.get_loop(), _work(settings, graphs, worker, options.jobs))


def run_to_the_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, int]) -> int:
    """Run the loop until `work` is done, though a graph calls `sys.exit`.

    asyncio lets that end the loop at once, with all other runs in it. Only the run whose code it was should fail.
    """
    task = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(task)
        except SystemExit as error:
            if task.done():
                raise
            logger.warning("a graph's code wanted to end the process", code=error.code)


def _complain(text: str) -> None:
    print(f"lineshaft worker: {text}", file=sys.stderr)  # noqa: T201 - the last word before exit, not a log line


async def _work(settings: Settings, graphs: Graphs, worker: str, jobs: int) -> int:
    client = Client(settings, patience=float("inf"))
    try:
        await _publish(client, graphs, worker)
        run_worker = RunWorker(
            client,
            Executor(client, graphs),
            worker,
            max_jobs=jobs,
            grace=settings.bg_job_shutdown_grace_period_secs,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run_worker.stop)
        lane = ControlLane(settings, graphs, worker)
        lane.start()
        failed = [str(file) for problem in graphs.errors.values() for file in problem.files]
        tell({"event": "ready", "files": failed} if failed else {"event": "ready"})
        await run_worker.async_run()
        lane.stop()
        return EXIT_REPLACE if run_worker.replace else 0
    finally:
        await client.close()


async def _publish(client: Client, graphs: Graphs, worker: str) -> None:
    """Tell gateways what there is: a descriptor and a system assistant for each graph."""
    registry, assistants, store = GraphRegistry(client), AssistantStore(client), RedisStore(client)
    for graph_id in graphs.config.graphs:
        descriptor = await describe(graphs, graph_id, store)
        await registry.publish(descriptor, worker)
        await assistants.ensure_system(descriptor.graph_id, descriptor.name, descriptor.description)


if __name__ == "__main__":
    # Not sys.exit: threads that user code has left behind must not keep a finished worker alive.
    sys.stdout.flush()
    code = main()
    sys.stderr.flush()
    os._exit(code)
