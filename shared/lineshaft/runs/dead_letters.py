"""Dead letters: runs that were given up since too many workers died with them. They are kept until somebody looks."""

import re
from collections.abc import AsyncIterator

from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.errors import Conflict, Invalid, NotFound
from lineshaft.redis.client import Client

from .detail import RunDetail, read_detail
from .index import RunIndex
from .retries import Retry, retry_run

_ID = re.compile(r"\d{1,16}-\d{1,10}")
_PAGE = 100  # letters that are read at once


class DeadLetter(Struct, kw_only=True):
    """One that was given up."""

    id: str
    run_id: str
    thread_id: str
    graph_id: str
    crashes: int  # workers that died with it
    at: str
    age: float  # seconds
    is_kept: bool  # whether the run's record is still there; without it there is nothing to try again


class Letter(Struct, kw_only=True):
    """A dead letter with all that is known of its run."""

    letter: DeadLetter
    detail: RunDetail | None


async def list_letters(client: Client, *, limit: int = 50, before: str = "") -> list[DeadLetter]:
    """The newest, or those before one. Raises Invalid for what is no id."""
    end = f"({_checked(before)}" if before else "+"
    rows = await client.command("XREVRANGE", client.keys.dead(), end, "-", "COUNT", limit)
    return await _letters(client, rows)


async def every_letter(client: Client) -> AsyncIterator[DeadLetter]:
    """All of them, the newest first."""
    before = ""
    while page := await list_letters(client, limit=_PAGE, before=before):
        for letter in page:
            yield letter
        before = page[-1].id


async def read_letter(client: Client, letter_id: str) -> DeadLetter:
    """Raises NotFound, Invalid."""
    checked = _checked(letter_id)
    rows = await client.command("XRANGE", client.keys.dead(), checked, checked)
    if not rows:
        raise NotFound(f"There is no dead letter {letter_id}: it was retried, deleted, or has become too old")
    (letter,) = await _letters(client, rows)
    return letter


async def export_letters(client: Client) -> AsyncIterator[Letter]:
    """All of them with what is known of their runs, the newest first."""
    async for letter in every_letter(client):
        try:
            yield Letter(letter=letter, detail=await read_detail(client, letter.run_id))
        except NotFound:
            yield Letter(letter=letter, detail=None)


async def retry_letter(client: Client, letter_id: str) -> Retry:
    """Try its run again, see `retry_run`, and delete the letter. Raises NotFound, Invalid, Conflict."""
    letter = await read_letter(client, letter_id)
    if not letter.is_kept:
        raise Conflict(f"The record of run {letter.run_id} has gone, so it cannot be tried again: delete the letter")
    retry = await retry_run(client, letter.run_id)
    await client.command("XDEL", client.keys.dead(), letter.id)
    return retry


async def delete_letter(client: Client, letter_id: str) -> None:
    """Delete the letter; its run stays as it is. Raises NotFound, Invalid."""
    await read_letter(client, letter_id)
    await client.command("XDEL", client.keys.dead(), _checked(letter_id))


def _checked(letter_id: str) -> str:
    if not _ID.fullmatch(letter_id):
        raise Invalid(f"{letter_id!r} is no dead letter's id: they are as 1795292900382-0")
    return letter_id


async def _letters(client: Client, rows: list[tuple[bytes, list[bytes]]]) -> list[DeadLetter]:
    read = [(raw.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for raw, flat in rows]
    if not read:
        return []
    seconds, _ = await client.command("TIME")
    kept = {row.run_id for row in await RunIndex(client).rows([fields[b"run"].decode() for _, fields in read])}
    found = []
    for letter_id, fields in read:
        at = int(letter_id.partition("-")[0])
        run_id = fields[b"run"].decode()
        found.append(
            DeadLetter(
                id=letter_id,
                run_id=run_id,
                thread_id=fields[b"thread"].decode(),
                graph_id=fields[b"graph"].decode(),
                crashes=int(fields[b"crashes"]),
                at=iso(at),
                age=max(0.0, int(seconds) - at / 1000),
                is_kept=run_id in kept,
            )
        )
    return found
