"""`python -m lineshaft_worker`: the worker's parent process. It loads no graph; see `parent.py`."""

import argparse
import asyncio
import sys

from lineshaft.config.settings import from_environment
from lineshaft.errors import ConfigError
from lineshaft.health.parent_watch import die_with_parent
from lineshaft.telemetry import log, tracing

from .parent import Parent


def main() -> int:
    """Run until stopped; exit code 1 with one line when the worker cannot start."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="lineshaft worker", description="Execute runs from the queue.")
    parser.add_argument("--config", required=True, help="langgraph.json")
    parser.add_argument("--jobs", type=int, default=None, help="runs at a time (default: N_JOBS_PER_WORKER, 10)")
    parser.add_argument("--queues", default=None, help="NAME:WEIGHT,NAME:WEIGHT (default: LINESHAFT_QUEUES, else all)")
    parser.add_argument("--dev", action="store_true", help="serve the other graphs when one does not load")
    parser.add_argument("--reload", action="store_true", help="start anew when the graphs' source changes")
    options = parser.parse_args()
    try:
        settings = from_environment()
        log.configure(settings.log_level, settings.log_json)
        tracing.configure("lineshaft-worker", settings)  # crons are fired here
        jobs = options.jobs or settings.n_jobs_per_worker
        queues = settings.lineshaft_queues if options.queues is None else options.queues
        parent = Parent(
            settings, options.config, jobs=jobs, dev=options.dev, reload=options.reload, queues=queues
        )  # fmt: skip
        return asyncio.run(parent.run())
    except ConfigError as error:
        print(f"lineshaft worker: {error}", file=sys.stderr)
        return 1
    finally:
        tracing.flush()


if __name__ == "__main__":
    sys.exit(main())
