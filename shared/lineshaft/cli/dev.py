"""`lineshaft dev`: the whole server on one machine, with a Redis of its own."""

import asyncio
import os
import re
import sys
from pathlib import Path

import click
import msgspec

from lineshaft.config import langgraph_json, settings
from lineshaft.redis import client as redis

from .address import check_address, is_loopback, url
from .announcer import Announcer
from .data_directory import DataDirectory
from .embedded import EmbeddedServer
from .supervisor import Part, Supervisor

# Seconds. `dev` is gone within 5 s of Ctrl-C, so its processes cannot wait as long as deployed ones do.
_GRACE_PERIOD = 2


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="langgraph.json; else the one here, else the demo.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the API listens on.")
@click.option("--port", default=8124, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Worker processes.")
@click.option("--jobs-per-worker", type=click.IntRange(min=1), help="Runs at a time in each.  [default: 10]")
@click.option("--data-dir", default=".lineshaft", show_default=True, type=click.Path(path_type=Path), help="For Redis.")
@click.option("--redis-uri", help="Use this Redis instead of starting one. Also REDIS_URI.")
@click.option("--no-reload", is_flag=True, help="Go on with the code as it was, when a graph's source changes.")
@click.option("--no-auth", is_flag=True, help="Listen on any host although nobody needs to authenticate.")
def dev(  # noqa: PLR0917 - click passes each option by name
    config: Path | None,
    host: str,
    port: int,
    workers: int,
    jobs_per_worker: int | None,
    data_dir: Path,
    redis_uri: str | None,
    no_reload: bool,
    no_auth: bool,
) -> None:
    """Start the gateway, workers and a Redis, and keep them running until Ctrl-C."""
    loaded = langgraph_json.load(config)
    # Two processes cannot share a port, and nobody probes what runs in a terminal.
    env = {**loaded.env, **os.environ, "LINESHAFT_PROBES_PORT": "0"}
    if redis_uri:
        env["REDIS_URI"] = redis_uri
    if jobs_per_worker:
        env["N_JOBS_PER_WORKER"] = str(jobs_per_worker)
    for name in ("BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS", "LINESHAFT_GATEWAY_GRACE_SECONDS"):
        env[name] = str(_GRACE_PERIOD)
    # A wrong value ends us here, before anything is started.
    chosen = settings.from_environment(env)
    chosen.langgraph_webhooks.resolved_headers(env)
    port = check_address(host, port, is_safe=no_auth or chosen.asks_who)
    plan = Plan(
        config=loaded, env=env, host=host, port=port, workers=workers, data_dir=data_dir, no_auth=no_auth,
        reload=not no_reload,
    )  # fmt: skip
    sys.exit(asyncio.run(_serve(plan)))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to start, all choices made."""

    config: langgraph_json.Config
    env: dict[str, str]
    host: str
    port: int
    workers: int
    data_dir: Path
    no_auth: bool
    reload: bool

    @property
    def title(self) -> str:
        """What is served, in words."""
        is_demo = self.config.file.parent.name == "lineshaft_demo"
        return f"the demo ({self.config.file})" if is_demo else str(self.config.file)

    def gateway(self, env: dict[str, str]) -> Part:
        """The process that serves the HTTP API."""
        argv = _python("lineshaft_api", "--host", self.host, "--port", str(self.port))
        studio = {"LINESHAFT_STUDIO": "true"} if is_loopback(self.host) else {}
        return Part(name="gateway", role="gateway", argv=argv + ["--no-auth"] * self.no_auth, env=env | studio)

    def worker(self, number: int, env: dict[str, str]) -> Part:
        """One of the processes that run graphs."""
        argv = _python("lineshaft_worker", "--config", str(self.config.file), "--dev", *["--reload"] * self.reload)
        return Part(name="worker" if self.workers == 1 else f"worker {number}", role="worker", argv=argv, env=env)


def _python(module: str, *args: str) -> list[str]:
    # -P: the current directory is the user's, and may have a redis.py that must not become ours.
    return [sys.executable, "-P", "-m", module, *args]


async def _serve(plan: Plan) -> int:
    """Run it all until a signal; returns the exit code."""
    supervisor = Supervisor(_say)
    data = DataDirectory(plan.data_dir)
    try:
        await supervisor.run(_start_up(plan, supervisor, data))
    finally:
        data.release()
    return 130 if supervisor.hurried else 0  # as a shell has it for a process that Ctrl-C killed


async def _start_up(plan: Plan, supervisor: Supervisor, data: DataDirectory) -> None:
    announcer = Announcer(_say)
    announcer.hello(plan.title, plan.config.unused + langgraph_json.unused_environment(plan.env))
    uri = plan.env.get("REDIS_URI") or await _start_redis(plan, supervisor, data)
    env = {**plan.env, "REDIS_URI": uri}
    version = await _check_redis(env)
    announcer.redis(version, f"data in {plan.data_dir}" if data.is_locked else f"at {_without_password(uri)}")
    gateway = supervisor.start(plan.gateway(env))
    numbers = range(1, plan.workers + 1)
    workers = [supervisor.start(plan.worker(number, env), announcer.on_worker_status) for number in numbers]
    for child in (gateway, *workers):
        await child.ready.wait()
    announcer.ready(url(plan.host, plan.port), list(plan.config.graphs))


async def _start_redis(plan: Plan, supervisor: Supervisor, data: DataDirectory) -> str:
    await data.lock(_say)
    server = EmbeddedServer(data, plan.env)
    child = supervisor.start(server.part())
    await server.wait_until_loaded(_say)
    child.ready.set()
    return server.uri


async def _check_redis(env: dict[str, str]) -> str:
    client = redis.Client(settings.from_environment(env))
    try:
        return await redis.check(client)
    finally:
        await client.close()


def _say(line: str) -> None:
    """Print a line. A reader that has gone, as `tee` after Ctrl-C, must not keep us from stopping in order."""
    try:
        click.echo(line)
    except OSError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _without_password(uri: str) -> str:
    return re.sub(r"\?.*", "", re.sub(r"://.*@", "://", uri))
