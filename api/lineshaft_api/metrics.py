"""What this gateway has answered, counted and timed."""

import time

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct
from prometheus_client import Counter, Gauge, Histogram

from lineshaft.telemetry.metrics import Registry

# Seconds: from a cached read to a request that waits for a worker's answer.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_LABELLED = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # a client may send any word for a method


class RequestCount(Struct):
    """Requests that were answered alike, in the form that `format=json` gives."""

    method: str
    path: str
    status: int
    count: int


class HttpMetrics:
    """Requests that were answered by this gateway, and what it has open."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._open = Gauge("lineshaft_http_requests_open", "Requests under way, streams too.", registry=self.registry)
        self._streams = Gauge(
            "lineshaft_http_streams_open", "Answers that are open-ended, by form.", ["kind"], registry=self.registry
        )
        self._requests = Counter(
            "lineshaft_http_requests",
            "Requests that were answered; 499: the client had gone.",
            ["method", "route", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lineshaft_http_request_duration_seconds",
            "From a request's head to its answer's end; not of streams and waits.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._resumed = Counter(
            "lineshaft_stream_resumes",
            "Streams that went on where they had broken off, by whether something was missing.",
            ["outcome"],
            registry=self.registry,
        )
        for kind in ("sse", "wait", "websocket"):
            self._streams.labels(kind)
        for outcome in ("complete", "gap"):
            self._resumed.labels(outcome)

    def begin(self) -> None:
        """Note a request that has come."""
        self._open.inc()

    def begin_stream(self, kind: str) -> None:
        """Note that its answer is open-ended."""
        self._streams.labels(kind).inc()

    def end(self, method: str, route: str, status: int, seconds: float, kind: str = "") -> None:
        """Note that it is over; of open-ended ones (`kind`) the time says nothing about this server."""
        self._open.dec()
        method = method if method in _LABELLED else "other"
        self._requests.labels(method, route, str(status)).inc()
        if kind:
            self._streams.labels(kind).dec()
        else:
            self._seconds.labels(method, route).observe(seconds)

    def note_resumed(self, *, whole: bool) -> None:
        """Note a stream that went on where an earlier one had broken off."""
        self._resumed.labels("complete" if whole else "gap").inc()

    def counted(self) -> list[RequestCount]:
        """All requests so far."""
        (family,) = self._requests.collect()
        return [
            RequestCount(s.labels["method"], s.labels["route"], int(s.labels["code"]), int(s.value))
            for s in family.samples
            if s.name.endswith("_total")
        ]


HTTP_METRICS = web.AppKey("HTTP_METRICS", HttpMetrics)
# How the answer was found to be, once; a request inside `http.app` shares it with the one around it.
_KINDS: web.RequestKey[list[str]] = web.RequestKey("STREAM_KINDS", list)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count every request, also one whose client goes away (499, as web servers have it)."""
    metrics, began, status = request.app[HTTP_METRICS], time.perf_counter(), 499
    kinds = request[_KINDS] = []
    metrics.begin()
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        seconds = time.perf_counter() - began
        metrics.end(request.method, route_of(request), status, seconds, "".join(kinds))


async def note_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Called before an answer's headers are sent: with `http.app` first of ours, and then of the one around it."""
    kinds = request.get(_KINDS)
    # Without: aiohttp refuses it before any middleware, as one that expects the impossible (417).
    if kinds is not None and not kinds:
        kinds.append(_kind(response))
        if kinds[0]:
            request.app[HTTP_METRICS].begin_stream(kinds[0])


def _kind(response: web.StreamResponse) -> str:
    """Of an answer that is open-ended; '' for all others."""
    if isinstance(response, web.WebSocketResponse):
        return "websocket"
    if response.content_type == "text/event-stream":
        return "sse"
    # Not of its subclasses: a file, say, is as long as it is.
    return "wait" if type(response) is web.StreamResponse and response.content_length is None else ""


def route_of(request: web.Request) -> str:
    """The route as it is declared (`/threads/{thread_id}`), '' where there is none: never what a client made up."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""
