"""Questions that only a graph can answer: asked by a gateway, answered by some worker's control lane.

A query exists (under its key) exactly as long as its asker waits. It is offered through a list, taken by one worker,
and answered into a list of its own. What an asker has given up is never carried out (query_give_up.lua).
"""

import contextlib
import math
import time
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from lineshaft.errors import BadRequest, Conflict, Invalid, LineshaftError, NotFound, TooLarge, Unavailable
from lineshaft.ids import uuid7
from lineshaft.redis.client import BLOCK_SECONDS, Client
from lineshaft.redis.slices import INLINE_BYTES, keep, whole

Kind = Literal["state", "history", "update", "supersteps", "delete_run", "describe", "embed", "find_items"]
_PATIENCE = 5.0  # seconds until the asker gives up: workers are missing or stuck, and the client should know
_OFFER_AGAIN = 0.5  # seconds: a worker that popped the offer may have died with it
_MARGIN = 5  # seconds that keys outlive the asker, should it die


class StateQuery(Struct, kw_only=True, omit_defaults=True):
    """One question about a thread, about a graph (no `thread_id`), or about items of the store (neither)."""

    query_id: str
    kind: Kind
    thread_id: str
    graph_id: str
    args: dict[str, Any] = {}


class Answer(Struct, omit_defaults=True):
    """What a worker found: ready JSON, or one of our errors by its class name."""

    value: Raw = Raw(b"null")
    blob: str = ""  # in place of a large value: the id under which it is kept apart
    error: str = ""
    detail: str = ""


_ERRORS: dict[str, type[LineshaftError]] = {c.__name__: c for c in (BadRequest, Conflict, Invalid, NotFound, TooLarge)}
_encode = msgspec.json.encode
_decode_query = msgspec.json.Decoder(StateQuery).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


class Queries:
    """Both sides of the control lane. `blocking` is a client of `Client.blocking()`, for pops."""

    def __init__(self, client: Client, blocking: Any, *, patience: float = _PATIENCE) -> None:
        self._client = client
        self._blocking = blocking
        self._patience = patience
        self._ttl = math.ceil(patience) + _MARGIN

    async def ask(self, kind: Kind, thread_id: str, graph_id: str, **args: Any) -> Raw:
        """The answer as JSON. Raises what the worker raised, or Unavailable when none answered in time."""
        query = StateQuery(query_id=uuid7(), kind=kind, thread_id=thread_id, graph_id=graph_id, args=args)
        keys, client = self._client.keys, self._client
        key, answer_key = keys.query(query.query_id), keys.query_answer(query.query_id)
        await client.command("SET", key, _encode(query), "EX", self._ttl)
        try:
            answer = await self._wait(query.query_id)
            if answer is None and not await client.script("query_give_up", query_id=query.query_id):
                # It was being carried out just now; after as long again only its effect will tell.
                answer = await self._wait(query.query_id)
            if answer is not None:
                return await self._value(answer)
            taken = await client.command("EXISTS", keys.query_taken(query.query_id))
        finally:
            with contextlib.suppress(Unavailable):  # they expire; an answer that is here counts
                await client.command("DEL", key, answer_key)
        if taken:
            raise Unavailable("The worker that took this question did not answer in time.", retry_after=2)
        raise Unavailable("No worker is there to answer: none runs, or all are stuck.", retry_after=5)

    async def _wait(self, query_id: str) -> Answer | None:
        """Offer the question until somebody has taken it, and wait for the answer; None when patience ends."""
        keys, client = self._client.keys, self._client
        deadline = time.monotonic() + self._patience
        while (left := deadline - time.monotonic()) > 0:
            if not await client.command("EXISTS", keys.query_taken(query_id)):
                await client.commands(("RPUSH", keys.queries(), query_id), ("EXPIRE", keys.queries(), self._ttl))
            # Redis looks at expired pops ten times a second only, so this wait may run a little over.
            pause = max(0.05, min(_OFFER_AGAIN, left))
            # Moved onto itself, not popped: should it get lost on its way to us, it is still there.
            answer_key = keys.query_answer(query_id)
            found = await client.patiently(partial(self._blocking.blmove, answer_key, answer_key, pause), "answer")
            if found:
                return _decode_answer(found)
        return None

    async def take(self, worker: str) -> StateQuery | None:
        """Wait some seconds for a question and make it ours; None if there was none, or another has it."""
        keys = self._client.keys
        popped = await self._blocking.blpop([keys.queries()], timeout=BLOCK_SECONDS)
        if not popped:
            return None
        query_id = popped[1].decode()
        ours = f"{worker} {uuid7()}"  # names this very offer, so that a repeated call knows that it has taken it
        found, taken_by = await self._client.commands(
            ("GET", keys.query(query_id)),
            ("SET", keys.query_taken(query_id), ours, "NX", "GET", "EX", self._ttl),
        )
        return _decode_query(found) if found and taken_by in (None, ours.encode()) else None

    async def answer(self, query: StateQuery, outcome: Raw | LineshaftError) -> None:
        """Send the answer; an asker that has gone leaves a key that expires."""
        if isinstance(outcome, LineshaftError):
            answer = Answer(error=type(outcome).__name__, detail=str(outcome))
        else:
            answer = Answer(outcome)
        if len(answer.value) > INLINE_BYTES:
            # One slice at a time: more would be with us, with Redis and on the way at once.
            slices, blob = keep(self._client, bytes(answer.value), self._ttl)
            for command in slices:
                await self._client.commands(command)
            answer = Answer(blob=blob)
        key = self._client.keys.query_answer(query.query_id)
        await self._client.commands(("RPUSH", key, _encode(answer)), ("EXPIRE", key, _MARGIN), atomic=True)

    async def _value(self, answer: Answer) -> Raw:
        if answer.error:
            raise _ERRORS.get(answer.error, Unavailable)(answer.detail)
        if not answer.blob:
            return answer.value
        key = self._client.keys.blob(answer.blob)
        value = await whole(self._client, key)
        await self._client.command("UNLINK", key)
        return Raw(value)
