"""How Redis and the installation do, which webhooks could not be delivered, and what operators have done."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from lineshaft.access.audit import AuditEntry, read_audit
from lineshaft.health.server import ServerHealth, read_health
from lineshaft.webhooks.calls import CallRecord, Webhooks
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.operation import Operation, operation

from .steering import TAGS, client_of


class WebhookQuery(Struct, kw_only=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class AuditQuery(Struct, kw_only=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    before: Annotated[
        str, Meta(pattern=r"^(\d{1,16}-\d{1,10})?$", description="The id of the last entry of the page before.")
    ] = ""


@operation("GET", "/internal/health", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_server_health(request: web.Request) -> ServerHealth:
    """Show how Redis does, clocks, versions, what had to be repaired; and say what is wrong."""
    return await read_health(client_of(request))


@operation("GET", "/internal/webhooks", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_failed_webhooks(request: web.Request, query: WebhookQuery) -> list[CallRecord]:
    """List the calls that were given up, the newest first, with what each attempt was told."""
    return await Webhooks(client_of(request)).failed(query.limit)


@operation("GET", "/internal/audit", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_audit(request: web.Request, query: AuditQuery) -> list[AuditEntry]:
    """List what operators have done, the newest first."""
    return await read_audit(client_of(request), limit=query.limit, before=query.before)


OPERATIONS: list[Operation] = [get_server_health, get_failed_webhooks, get_audit]
