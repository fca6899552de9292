"""The port that orchestrators probe: a small HTTP server in a thread; it answers also when the event loop does not."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NoAnswerError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import msgspec

from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError, Unavailable
from lineshaft.telemetry.metrics import TEXT

from .process import Health

_JSON = "application/json"
_LOOP_PATIENCE = 0.9  # seconds for the loop to say whether it is ready: orchestrators wait for one


@contextlib.contextmanager
def probing(settings: Settings, health: Health, metrics: Callable[[], bytes] | None = None) -> Iterator[int]:
    """Watch the loop, and serve the probes (and `metrics`) if a port is set. Yields the port, 0 without one.

    To be entered on the loop. Raises ConfigError if the port cannot be had.
    """
    health.watch.start()
    try:
        if not settings.lineshaft_probes_port:
            yield 0
            return
        with _served(settings, health, metrics) as port:
            yield port
    finally:
        health.watch.stop()


@contextlib.contextmanager
def _served(settings: Settings, health: Health, metrics: Callable[[], bytes] | None) -> Iterator[int]:
    host, port = settings.lineshaft_probes_host, settings.lineshaft_probes_port
    try:
        server = _Server(host, port, _Answers(health, metrics))
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigError(f"cannot serve probes on {host} port {port}: {reason}") from None
    thread = threading.Thread(target=server.serve_forever, name="probes", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        # It looks every half second whether it is to end; the loop need not wait for that.
        threading.Thread(target=server.stop, name="probes-stop", daemon=True).start()


class _Answers:
    """What each path is answered with, on a thread of the server's."""

    def __init__(self, health: Health, metrics: Callable[[], bytes] | None) -> None:
        self._health = health
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()

    def __call__(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        try:
            if path == "/livez":
                self._health.require_life()
                return _said({"alive": True})
            if path == "/startupz":
                self._health.require_start()
                return _said({"started": True})
            if path == "/readyz":
                return _said(self._readiness())
        except Unavailable as error:
            return _said({"detail": str(error)}, 503)
        if path == "/metrics" and self._metrics:
            return 200, TEXT, self._metrics()
        return _said({"detail": "Not Found"}, 404)

    def _readiness(self) -> Any:
        """Raises Unavailable if it is not ready, or the loop does not answer."""
        asking = asyncio.run_coroutine_threadsafe(self._health.readiness(), self._loop)
        try:
            return asking.result(_LOOP_PATIENCE).require()
        except NoAnswerError:
            asking.cancel()
            raise Unavailable("Not ready (the event loop does not answer)") from None


def _said(what: Any, status: int = 200) -> tuple[int, str, bytes]:
    return status, _JSON, msgspec.json.encode(what)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a probe that is still being answered keeps nobody alive

    def __init__(self, host: str, port: int, answers: _Answers) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answers = answers
        super().__init__((host, port), _Handler)

    def stop(self) -> None:
        """End `serve_forever`, and give the port back."""
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """HTTPServer's own looks its name up, which takes seconds where no name server answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class _Handler(BaseHTTPRequestHandler):
    timeout = 5.0  # seconds for a request to come: who connects and says nothing holds a thread
    server: _Server

    def do_GET(self) -> None:
        status, content_type, body = self.server.answers(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
        """Not in our log, every few seconds."""
