"""The versions of an assistant: list them, go back to one."""

from typing import Annotated, Any

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from lineshaft.assistants.assistant import Assistant, AssistantStore
from lineshaft.assistants.versions import AssistantVersion, AssistantVersions
from lineshaft.errors import NotFound
from lineshaft_api.context import CLIENT
from lineshaft_api.operation import AssistantId, Operation, operation
from lineshaft_api.paging import Limit, Offset

_TAGS = ("Assistants",)


class VersionSearchRequest(Struct, kw_only=True):
    """Which versions to list."""

    metadata: Annotated[dict[str, Any], Meta(description="What the version's metadata must contain.")] = {}
    limit: Limit = 10
    offset: Offset = 0


class LatestRequest(Struct, kw_only=True):
    """Which version is to be the current one."""

    # One that cannot be is unknown, as others that are not there; so is none.
    version: Annotated[int, Meta(ge=-(2**31), le=2**31)] | UnsetType = UNSET


@operation("POST", "/assistants/{assistant_id}/versions", errors=(404,), tags=_TAGS, scope="read")
async def list_assistant_versions(
    request: web.Request, assistant_id: AssistantId, body: VersionSearchRequest
) -> list[AssistantVersion]:
    """List the versions of an assistant, newest first. A page without any is a 404."""
    versions = AssistantVersions(request.app[CLIENT])
    return await versions.list(assistant_id, body.metadata, limit=body.limit, offset=body.offset)


@operation("POST", "/assistants/{assistant_id}/latest", errors=(404,), tags=_TAGS)
async def set_latest_assistant_version(
    request: web.Request, assistant_id: AssistantId, body: LatestRequest
) -> Assistant:
    """Make an older version of an assistant the current one, with all that it had."""
    if body.version is UNSET:
        raise NotFound(f"No version of assistant {assistant_id} is named: give its number as `version`")
    await AssistantVersions(request.app[CLIENT]).restore(assistant_id, body.version)
    return await AssistantStore(request.app[CLIENT]).get(assistant_id)


OPERATIONS: list[Operation] = [list_assistant_versions, set_latest_assistant_version]
