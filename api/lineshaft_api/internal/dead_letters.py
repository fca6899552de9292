"""Dead letters: look at, try again, delete, export."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from lineshaft.runs.dead_letters import DeadLetter, delete_letter, export_letters, list_letters, retry_letter
from lineshaft.runs.retries import Retry
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.operation import Operation, operation

from .steering import TAGS, audit_of, client_of


class LetterQuery(Struct, kw_only=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    before: Annotated[str, Meta(max_length=40, description="The id of the last letter of the page before.")] = ""


@operation("GET", "/internal/dead-letters", errors=(503,), tags=TAGS, scope="admin", access=ITSELF)
async def get_dead_letters(request: web.Request, query: LetterQuery) -> list[DeadLetter]:
    """List the runs that were given up since too many workers died with them, the newest first."""
    return await list_letters(client_of(request), limit=query.limit, before=query.before)


@operation(
    "GET", "/internal/dead-letters/export", media="application/x-ndjson", errors=(503,), tags=TAGS, scope="admin",
    access=ITSELF,
)  # fmt: skip
async def export_dead_letters(request: web.Request) -> web.StreamResponse:
    """Write all dead letters with what is known of their runs: one JSON object a line."""
    async with audit_of(request).noted("export dead letters"):
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        async for letter in export_letters(client_of(request)):
            await response.write(msgspec.json.encode(letter) + b"\n")
        await response.write_eof()
        return response


@operation(
    "POST", "/internal/dead-letters/{letter_id}/retry", errors=(404, 409, 503), tags=TAGS, scope="admin",
    access=ITSELF,
)  # fmt: skip
async def retry_dead_letter(request: web.Request, letter_id: str) -> Retry:
    """Try a run again that was given up, as a new run, and delete its letter."""
    async with audit_of(request).noted("retry dead letter", letter_id):
        return await retry_letter(client_of(request), letter_id)


@operation(
    "DELETE", "/internal/dead-letters/{letter_id}", errors=(404, 503), tags=TAGS, scope="admin", access=ITSELF
)  # fmt: skip
async def delete_dead_letter(request: web.Request, letter_id: str) -> None:
    """Delete a dead letter. Its run stays as it is."""
    async with audit_of(request).noted("delete dead letter", letter_id):
        await delete_letter(client_of(request), letter_id)


OPERATIONS: list[Operation] = [get_dead_letters, export_dead_letters, retry_dead_letter, delete_dead_letter]
