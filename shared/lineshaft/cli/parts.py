"""`lineshaft gateway` and `lineshaft worker`: one part each, against the Redis at REDIS_URI."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from lineshaft.config import langgraph_json
from lineshaft.errors import ConfigError

_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="langgraph.json; else the one here, else the demo's."
)


@click.command()
@_CONFIG
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the API listens on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Also PORT.  [default: 8124]")
@click.option("--no-auth", is_flag=True, help="Listen on any host although nobody needs to authenticate.")
def gateway(config: Path | None, host: str, port: int | None, no_auth: bool) -> None:
    """Serve the HTTP API. It runs no graphs: start workers for that."""
    loaded = langgraph_json.load(config)
    env = _environment(loaded)
    if port is None:
        port = _port(env)
    _become("lineshaft_api", ["--host", host, "--port", str(port), *["--no-auth"] * no_auth], env)


@click.command()
@_CONFIG
@click.option("--jobs-per-worker", type=click.IntRange(min=1), help="Runs at a time.  [default: 10]")
@click.option("--queues", help="Serve these, as interactive:3,batch:1. Also LINESHAFT_QUEUES.  [default: all]")
def worker(config: Path | None, jobs_per_worker: int | None, queues: str | None) -> None:
    """Run graphs. Start as many as you need, on as many machines."""
    loaded = langgraph_json.load(config)
    jobs = ["--jobs", str(jobs_per_worker)] if jobs_per_worker else []
    served = ["--queues", queues] if queues is not None else []
    _become("lineshaft_worker", ["--config", str(loaded.file), *jobs, *served], _environment(loaded))


def _environment(config: langgraph_json.Config) -> dict[str, str]:
    """The environment, with that of langgraph.json under it; says what of both has no effect."""
    env = {**config.env, **os.environ}
    for note in config.unused + langgraph_json.unused_environment(env):
        click.echo(f"note: {note}", err=True)
    return env


def _port(env: Mapping[str, str]) -> int:
    text = env.get("PORT") or "8124"
    if not text.isdecimal() or int(text) > 65535:
        raise ConfigError(f"environment variable PORT={text!r}: expected a port number")
    return int(text)


def _become(module: str, args: list[str], env: Mapping[str, str]) -> None:
    """Replace this process, so that signals and exit codes are the part's own.

    -P keeps the user's current directory off the path: it may have a redis.py that must not become ours.
    """
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *args], env)  # noqa: S606 - no shell is the point
