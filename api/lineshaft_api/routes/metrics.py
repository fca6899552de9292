"""Numbers for operators and autoscalers: of this gateway, and of the queues and workers behind it."""

import asyncio

import msgspec
import redis.exceptions
from aiohttp import web
from msgspec import Struct

from lineshaft.errors import Unavailable
from lineshaft.queues.load import Load
from lineshaft.telemetry.installation import Families, Installation, InstallationReader
from lineshaft.telemetry.metrics import COMMON, TEXT, render
from lineshaft_api.metrics import HTTP_METRICS, RequestCount
from lineshaft_api.operation import Operation, operation

_PATIENCE = 2.0  # seconds for Redis; a scraper waits ten, and wants the other numbers all the more when it is away
INSTALLATION = web.AppKey("INSTALLATION", InstallationReader)


class MetricsQuery(Struct):
    """In which form."""

    format: str = "prometheus"


class _Queue(Struct):
    n_pending: int
    n_running: int
    pending_runs_wait_time_max_secs: float | None
    pending_runs_wait_time_med_secs: float | None
    pending_unblocked_runs_wait_time_max_secs: float | None


class _Workers(Struct):
    max: int
    active: int
    available: int


class _Api(Struct):
    http_requests_total: list[RequestCount]


class Metrics(Struct):
    """The form that `format=json` gives."""

    queue: _Queue
    api: _Api
    workers: _Workers


@operation("GET", "/metrics", media="text/plain", errors=(503,), tags=("System",), public=True)
async def get_metrics(request: web.Request, query: MetricsQuery) -> web.Response:
    """Count requests of this gateway, runs in the queues, workers and threads.

    In Prometheus' text format, or with `format=json` as JSON. The numbers about queues, workers and threads are of the
    whole installation, and the same at every gateway: aggregate them with `max`, all others with `sum`.
    """
    if query.format == "json":
        return web.Response(
            body=msgspec.json.encode(_document(request, (await _read(request)).load)), content_type="application/json"
        )
    try:
        read = await _read(request)
    except Unavailable:
        read = None
    text = render(COMMON, request.app[HTTP_METRICS].registry, Families(read))
    return web.Response(body=text, headers={"Content-Type": TEXT})


async def _read(request: web.Request) -> Installation:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await request.app[INSTALLATION].read()
    except (redis.exceptions.RedisError, TimeoutError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from None


def _document(request: web.Request, load: Load) -> Metrics:
    waits = [queue.longest_wait for queue in load.queues.values() if queue.longest_wait is not None]
    medians = [queue.median_wait for queue in load.queues.values() if queue.median_wait is not None]
    longest = max(waits, default=None)
    return Metrics(
        queue=_Queue(load.pending, load.running, longest, max(medians, default=None), longest),
        api=_Api(request.app[HTTP_METRICS].counted()),
        workers=_Workers(load.slots, load.running, max(0, load.slots - load.running)),
    )


OPERATIONS: list[Operation] = [get_metrics]
