"""Questions that only a graph can answer: asked by a gateway, answered by some worker's control lane.

A query exists (under its key) exactly as long as its asker waits. It is offered through a list, taken by one worker,
and answered into a list of its own. What an asker has given up is never carried out (query_give_up.lua).
"""

import math
import time
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from .errors import BadRequest, Conflict, Invalid, LineshaftError, NotFound, Unavailable
from .ids import uuid7
from .redis import Client

Kind = Literal["state", "history", "update", "delete_run"]
_PATIENCE = 5.0  # seconds until the asker gives up: workers are missing or stuck, and the client should know
_OFFER_AGAIN = 0.5  # seconds: a worker that popped the offer may have died with it
_MARGIN = 5  # seconds that keys outlive the asker, should it die


class StateQuery(Struct, kw_only=True, omit_defaults=True):
    """One question about a thread."""

    query_id: str
    kind: Kind
    thread_id: str
    graph_id: str
    args: dict[str, Any] = {}


class Answer(Struct, omit_defaults=True):
    """What a worker found: ready JSON, or one of our errors by its class name."""

    value: Raw = Raw(b"null")
    error: str = ""
    detail: str = ""


_ERRORS: dict[str, type[LineshaftError]] = {c.__name__: c for c in (BadRequest, Conflict, Invalid, NotFound)}
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
                return _value(answer)
            taken = await client.command("EXISTS", keys.query_taken(query.query_id))
        finally:
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
            popped = await client.patiently(
                partial(self._blocking.blpop, [keys.query_answer(query_id)], pause), "answer"
            )
            if popped:
                return _decode_answer(popped[1])
        return None

    async def take(self, worker: str) -> StateQuery | None:
        """Wait up to 5 seconds for a question and make it ours; None if there was none, or another has it."""
        keys = self._client.keys
        popped = await self._blocking.blpop([keys.queries()], timeout=5)
        if not popped:
            return None
        query_id = popped[1].decode()
        found, ours = await self._client.commands(
            ("GET", keys.query(query_id)),
            ("SET", keys.query_taken(query_id), worker, "NX", "EX", self._ttl),
        )
        return _decode_query(found) if found and ours else None

    async def answer(self, query: StateQuery, outcome: Raw | LineshaftError) -> None:
        """Send the answer; an asker that has gone leaves a key that expires."""
        if isinstance(outcome, LineshaftError):
            answer = Answer(error=type(outcome).__name__, detail=str(outcome))
        else:
            answer = Answer(outcome)
        key = self._client.keys.query_answer(query.query_id)
        await self._client.commands(("RPUSH", key, _encode(answer)), ("EXPIRE", key, _MARGIN), atomic=True)


def _value(answer: Answer) -> Raw:
    if not answer.error:
        return answer.value
    raise _ERRORS.get(answer.error, Unavailable)(answer.detail)
