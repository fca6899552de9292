"""`lineshaft validate` and `lineshaft openapi`: what can be said of a configuration without a running server."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from lineshaft.config import langgraph_json, settings

_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="langgraph.json; else the one here, else the demo's."
)


@click.command()
@_CONFIG
def validate(config: Path | None) -> None:
    """Check langgraph.json and the environment, load the graphs and all code it names, and build their schemas."""
    loaded, env = _environment(config)
    click.echo(f"ok     {loaded.file}: {len(loaded.graphs)} graphs")
    for note in loaded.unused + langgraph_json.unused_environment(env):
        click.echo(f"note   {note}")
    settings.from_environment(env).langgraph_webhooks.resolved_headers(env)
    codes = [_run("lineshaft_worker.check", env, str(loaded.file)), _run("lineshaft_api.check", env)]
    sys.exit(int(any(codes)))


@click.command()
@_CONFIG
def openapi(config: Path | None) -> None:
    """Write the OpenAPI document of a gateway, with the routes of `http.app`, as JSON."""
    _, env = _environment(config)
    sys.exit(_run("lineshaft_api.check", env, "openapi"))


def _environment(config: Path | None) -> tuple[langgraph_json.Config, dict[str, str]]:
    loaded = langgraph_json.load(config)
    return loaded, {**loaded.env, **os.environ}


def _run(module: str, env: Mapping[str, str], *args: str) -> int:
    # -P: the current directory is the user's, and may have a redis.py that must not become ours.
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-P", "-m", module, *args], env=env, check=False).returncode
