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

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.config import langgraph_json as config
from lineshaft.config import modules
from lineshaft.config.settings import Settings, from_environment
from lineshaft.errors import ConfigError
from lineshaft.health.loop_watch import LoopWatch
from lineshaft.health.parent_watch import die_with_parent
from lineshaft.loop import loop_factory
from lineshaft.queues.queue import OVERFLOW_QUEUE
from lineshaft.queues.weights import parse_weights
from lineshaft.redis.client import Client
from lineshaft.telemetry import log, tracing

from .child_metrics import Changes
from .control import ControlLane
from .copies import disown_copies, exit_as
from .executor import Executor
from .graphs import Graphs
from .index import Index, load_index
from .life import beat, say
from .parent import EXIT_CANNOT_START, EXIT_REPLACE
from .run_metrics import begin_series
from .schemas import describe
from .store import RedisStore
from .threads import Threads
from .worker import RunWorker

logger = log.get("worker")
NUMBERS = Changes()  # of this process; the parent tells Prometheus of them

_SOURCES_SECONDS = 2.0  # nobody edits a module sooner after its first use


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
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--queues", type=parse_weights, default={})
    options = parser.parse_args()
    settings = from_environment()
    worker = os.environ["LINESHAFT_WORKER_ID"]
    log.configure(settings.log_level, settings.log_json, worker=worker)
    tracing.configure("lineshaft-worker", settings)
    # A third of the lease: two beats may be late before the parent looks for other signs. They bring the numbers along,
    # which should not be older than a scrape or two.
    seconds = min(5.0, settings.lineshaft_lease_seconds / 3)
    beat(int(os.environ["LINESHAFT_LIFE_FD"]), seconds, NUMBERS.lines)
    try:
        graphs = Graphs.load(config.load(Path(options.config)), on_event=tell)
        index = load_index(graphs.config, settings.langgraph_store.index)
    except ConfigError as error:
        _complain(str(error))
        return EXIT_CANNOT_START
    if graphs.errors and not options.dev:
        for graph_id, problem in graphs.errors.items():
            _complain(f"graph {graph_id} does not load: {problem}")
        return EXIT_CANNOT_START
    begin_series([OVERFLOW_QUEUE, *settings.lineshaft_executor.names], graphs.names)
    # Never closed: that would wait for tasks which swallow their cancel, and for threads in which nodes are stuck.
    loop = asyncio.Runner(loop_factory=loop_factory()).get_loop()
    disown_copies(loop, int(os.environ["LINESHAFT_LIFE_FD"]))
    if options.reload:
        loop.create_task(_tell_sources(graphs.config), name="sources")
    return run_to_the_end(loop, _work(settings, graphs, index, worker, options))


def run_to_the_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, int]) -> int:
    """Run the loop until `work` is done, though a graph calls `sys.exit`.

    asyncio lets that end the loop at once, with all other runs in it. Only the run whose code it was should fail.
    """
    task = loop.create_task(work)
    worker = os.getpid()
    while True:
        try:
            return loop.run_until_complete(task)
        except SystemExit as error:
            if os.getpid() != worker:  # a graph's code has forked, and its copy wants to end
                exit_as(error)
            if task.done():
                raise
            logger.warning("a graph's code wanted to end the process", code=error.code)


def _complain(text: str) -> None:
    print(f"lineshaft worker: {text}", file=sys.stderr)  # noqa: T201 - the last word before exit, not a log line


async def _work(
    settings: Settings, graphs: Graphs, index: Index | None, worker: str, options: argparse.Namespace
) -> int:
    client = Client(settings, patience=float("inf"))
    try:
        await _publish(client, graphs, worker)
        run_worker = RunWorker(
            client,
            Executor(client, graphs, index),
            worker,
            max_jobs=options.jobs,
            queues=options.queues,
            grace=settings.bg_job_shutdown_grace_period_secs,
        )
        LoopWatch("child").start()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, run_worker.stop)

        def replace() -> None:
            run_worker.replace = True
            run_worker.stop()

        loop.set_default_executor(Threads(options.jobs, replace))
        lane = ControlLane(settings, graphs, worker, index)
        lane.start()
        failed = [str(file) for problem in graphs.errors.values() for file in problem.files]
        tell({"event": "ready", "files": failed} if failed else {"event": "ready"})
        await run_worker.async_run()
        lane.stop()
        return EXIT_REPLACE if run_worker.replace else 0
    finally:
        await client.close()


async def _tell_sources(loaded: config.Config) -> None:
    """Which files to watch. A node may import a module when it first runs."""
    known = 0
    while True:
        if len(sys.modules) != known:
            known = len(sys.modules)
            tell({"event": "sources", "files": modules.sources(loaded)})
        await asyncio.sleep(_SOURCES_SECONDS)


async def _publish(client: Client, graphs: Graphs, worker: str) -> None:
    """Tell gateways what there is: a descriptor and a system assistant for each graph."""
    registry, assistants, store = GraphRegistry(client), AssistantStore(client), RedisStore(client)
    for graph_id in graphs.config.graphs:
        descriptor = await describe(graphs, graph_id, store)
        if await registry.publish(descriptor, worker):
            await assistants.ensure_system(descriptor.graph_id, descriptor.name, descriptor.description)


if __name__ == "__main__":
    # Not sys.exit: threads that user code has left behind must not keep a finished worker alive.
    sys.stdout.flush()
    code = main()
    tracing.flush()
    for line in NUMBERS.lines():
        say(int(os.environ["LINESHAFT_LIFE_FD"]), line)
    tell({"event": "farewell"})
    sys.stderr.flush()
    os._exit(code)
