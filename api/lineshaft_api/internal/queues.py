"""The whole at a glance; queues, to look at, pause, drain and resume; and what they are scaled by."""

from aiohttp import web
from msgspec import Struct

from lineshaft.errors import NotFound
from lineshaft.queues import control as queue_control
from lineshaft.queues.load import measure
from lineshaft.queues.overview import Overview, QueueRow, Scaling, list_queues, read_overview, read_scaling
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.operation import Operation, operation

from .steering import TAGS, Done, audit_of, client_of


class ScalingOfAll(Struct):
    """By queue."""

    queues: dict[str, Scaling]


@operation("GET", "/internal/overview", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_overview(request: web.Request) -> Overview:
    """Show queues, workers, dead letters, and how many runs have ended and failed lately."""
    client = client_of(request)
    return await read_overview(client, await measure(client))


@operation("GET", "/internal/queues", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_queues(request: web.Request) -> list[QueueRow]:
    """List the queues with their runs by state, how long the first has waited, and who serves them."""
    return await list_queues(client_of(request))


@operation("POST", "/internal/queues/{queue}/pause", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def pause_queue(request: web.Request, queue: str) -> Done:
    """Let nobody claim a run of a queue. It takes new ones; what runs goes on."""
    return await _order(request, queue, "paused")


@operation("POST", "/internal/queues/{queue}/drain", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def drain_queue(request: web.Request, queue: str) -> Done:
    """Refuse new runs of a queue (503), and execute those that are there."""
    return await _order(request, queue, "draining")


@operation("POST", "/internal/queues/{queue}/resume", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def resume_queue(request: web.Request, queue: str) -> Done:
    """End a pause or a drain."""
    return await _order(request, queue, "open")


@operation("GET", "/internal/scaling", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_scaling(request: web.Request) -> ScalingOfAll:
    """Tell of each queue how many workers it needs."""
    return ScalingOfAll({scaling.queue: scaling for scaling in await read_scaling(client_of(request))})


@operation("GET", "/internal/scaling/{queue}", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def get_scaling_of_queue(request: web.Request, queue: str) -> Scaling:
    """Tell how many workers a queue needs.

    For KEDA's metrics-api trigger: `valueLocation: value`, and as target the slots of a worker, or a little less.
    """
    found = {scaling.queue: scaling for scaling in await read_scaling(client_of(request))}
    if queue not in found:
        raise NotFound(f"Queue {queue!r} not found. There are: {', '.join(found)}")
    return found[queue]


async def _order(request: web.Request, queue: str, state: queue_control.State) -> Done:
    async with audit_of(request).noted(queue_control.ACTIONS[state], queue):
        return Done(*await queue_control.order(client_of(request), queue, state))


OPERATIONS: list[Operation] = [
    get_overview,
    get_queues,
    pause_queue,
    drain_queue,
    resume_queue,
    get_scaling,
    get_scaling_of_queue,
]
