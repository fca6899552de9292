"""`python -m lineshaft_api`: one gateway, until SIGTERM or SIGINT."""

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import socket
import sys

from aiohttp import web

from lineshaft import log, redis, settings
from lineshaft.errors import ConfigError
from lineshaft.loop import loop_factory
from lineshaft.parent_watch import die_with_parent

from .app import build

# Seconds that requests have to finish after SIGTERM. All of us must be gone within 5 s, so that a supervisor that waits
# for us, and then for Redis, keeps its promise.
_SHUTDOWN_TIMEOUT = 3.0


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
        if not flags.no_auth:
            _refuse_other_machines(flags.host)
        chosen = settings.from_environment()
        log.configure(chosen.log_level, chosen.log_json)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(chosen, flags.host, flags.port))
    except ConfigError as error:
        print(f"lineshaft gateway: {error}", file=sys.stderr)  # the last word before exit, not a log line
        return 1
    return 0


async def _serve(chosen: settings.Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    client = redis.Client(chosen)
    try:
        await redis.check(client)
        # No access log: it costs as much as a small request does.
        # With handler_cancellation a handler hears at once that its client has gone, also while nothing is written.
        runner = web.AppRunner(
            build(client, chosen), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT, handler_cancellation=True
        )
        await runner.setup()
        try:
            await _listen(runner, host, port)
            await stop.wait()
        finally:
            await runner.cleanup()
    finally:
        await client.close()


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
        raise ConfigError(f"other machines may reach {host}, and nobody is asked who they are: --no-auth permits it")


if __name__ == "__main__":
    sys.exit(main())
