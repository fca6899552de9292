"""Workers: who is there, and draining one."""

from aiohttp import web

from lineshaft.queues.workers import WorkerInfo, drain_worker, list_workers, resume_worker
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.operation import Operation, operation

from .steering import TAGS, Done, audit_of, client_of


@operation("GET", "/internal/workers", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_workers(request: web.Request) -> list[WorkerInfo]:
    """List the workers that are there, the oldest first."""
    return await list_workers(client_of(request))


@operation("POST", "/internal/workers/{worker}/drain", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def drain_worker_as_operator(request: web.Request, worker: str) -> Done:
    """Let a worker claim no more runs; those that it has it brings to their ends.

    It stays until it is resumed, or its process is replaced: a new one has a new id.
    """
    async with audit_of(request).noted("drain worker", worker):
        changed = await drain_worker(client_of(request), worker)
    return Done(changed, f"Worker {worker} {'takes no new runs' if changed else 'was drained already'}.")


@operation("POST", "/internal/workers/{worker}/resume", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF)
async def resume_worker_as_operator(request: web.Request, worker: str) -> Done:
    """Let a drained worker claim runs again, which it does at once."""
    async with audit_of(request).noted("resume worker", worker):
        changed = await resume_worker(client_of(request), worker)
    return Done(changed, f"Worker {worker} {'takes runs again' if changed else 'was not drained'}.")


OPERATIONS: list[Operation] = [get_workers, drain_worker_as_operator, resume_worker_as_operator]
