"""`python -m lineshaft_api`: one gateway, until SIGTERM or SIGINT."""

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import sys

from aiohttp import web

from lineshaft.access.api_keys import ApiKeys
from lineshaft.config import settings
from lineshaft.errors import ConfigError
from lineshaft.health.loop_watch import LoopWatch
from lineshaft.health.parent_watch import die_with_parent
from lineshaft.health.probes import probing
from lineshaft.health.process import Health
from lineshaft.loop import loop_factory
from lineshaft.redis import client as redis
from lineshaft.redis.stored_format import check_format
from lineshaft.telemetry import log, tracing
from lineshaft.telemetry.metrics import tell_build

from .app import build
from .context import SETTINGS
from .errors import without_broken_requests
from .routes.probes import HEALTH

# Seconds that requests have beyond the gateway's grace, so that what is cut off is cut off by us and in order. With
# `dev`'s grace all of us are gone within 5 s: a supervisor that waits for us, and then for Redis, keeps its promise.
_CUT_OFF_SECONDS = 1.0


def main() -> int:
    """Serve; returns the exit code."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m lineshaft_api", description="Serve the HTTP API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8124, help="0 takes a free one")
    parser.add_argument(
        "--no-auth", action="store_true", help="serve other machines although nobody is asked who they are"
    )
    flags = parser.parse_args()
    try:
        chosen = settings.from_environment()
        if not flags.no_auth and not chosen.asks_who:
            _refuse_other_machines(flags.host)
        log.configure(chosen.log_level, chosen.log_json)
        logging.getLogger("aiohttp.server").addFilter(without_broken_requests)
        tracing.configure("lineshaft-gateway", chosen)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(chosen, flags.host, flags.port))
    except ConfigError as error:
        print(f"lineshaft gateway: {error}", file=sys.stderr)  # the last word before exit, not a log line
        return 1
    finally:
        tracing.flush()
    return 0


async def _serve(chosen: settings.Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    client = redis.Client(chosen)
    checks = {"draining": lambda: "the gateway is stopping" if stop.is_set() else ""}
    health = Health(client, LoopWatch("gateway"), checks)
    tell_build("gateway")
    try:
        with probing(chosen, health):
            await health.await_redis()
            for signum in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(signum, stop.set)
            await redis.check(client)
            await check_format(client)
            if chosen.lineshaft_auth == "keys" and not await ApiKeys(client).list():
                log.get("gateway").warning("there is no API key yet: lineshaft keys create --name NAME")
            app = build(client, chosen)
            app[HEALTH] = health
            await _run(app, host, port, stop)
    finally:
        await client.close()


async def _run(app: web.Application, host: str, port: int, stop: asyncio.Event) -> None:
    # No access log: it costs as much as a small request does.
    # With handler_cancellation a handler hears at once that its client has gone, also while nothing is written.
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=app[SETTINGS].lineshaft_gateway_grace_seconds + _CUT_OFF_SECONDS,
        handler_cancellation=True,
    )
    await runner.setup()
    try:
        await _listen(runner, host, port)
        app[HEALTH].has_started = True
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        # asyncio's text repeats the address; a name that cannot be resolved has no errno of the system.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}") from None
    port = runner.addresses[0][1]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log.get("gateway").info("listening", url=url)
    _tell_supervisor({"event": "ready", "url": url})


def _tell_supervisor(event: dict[str, str]) -> None:
    """Whoever started us may wait for news on this file descriptor."""
    if fd := os.environ.get("LINESHAFT_STATUS_FD"):
        os.write(int(fd), json.dumps(event).encode() + b"\n")


def _refuse_other_machines(host: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        is_loopback = host == "localhost"
    if not is_loopback:
        raise ConfigError(
            f"other machines may reach {host}, and nobody is asked who they are: "
            "LINESHAFT_AUTH=keys asks for API keys, --no-auth accepts it"
        )


if __name__ == "__main__":
    sys.exit(main())
