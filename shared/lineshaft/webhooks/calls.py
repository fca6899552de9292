"""Calls at the end of runs: what waits to be sent, what was said to whoever sent it, and what a call says.

A run that names a webhook has its call queued by the script that ends it, so neither is ever without the other. Senders
take a call for the time of one attempt. One that dies, or hears nothing, leaves it to the next: it arrives at least
once, each time under the same id.
"""

import contextlib
from collections.abc import Collection
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.redis.slices import INLINE_BYTES, keep, whole
from lineshaft.runs.run import Run, RunStore

Outcome = Literal["delivered", "waiting", "failed"]

# Bytes of one call. A state may be many times larger; senders hold several calls at once, and receivers have limits.
_LARGEST = 16 * 1024 * 1024

_CALL_TTL = 7 * 86_400  # seconds, as in lib/run_end.lua

_encode = msgspec.json.encode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Call(Struct):
    """One attempt to call, in a sender's hands."""

    request: str
    run_id: str
    receiver: str  # its host and port
    url: str
    content: bytes  # JSON; of a large one `k<blob id>`
    thread_id: str
    status: str
    error: bytes  # JSON, empty without one
    started: int  # ms; 0 if it never has
    ended: int  # ms
    attempt: int  # from 1


class Attempt(Struct):
    """What became of one attempt. A sender that died has left neither time nor words."""

    began_at: str
    ended_at: str | None
    said: str | None


class CallRecord(Struct):
    """A call as operators see it."""

    run_id: str
    url: str
    outcome: Outcome
    attempts: list[Attempt]


def content(run: bytes, values: bytes) -> bytes:
    """What the worker knows for a call: the run as clients see it, and the thread's values, both JSON.

    A call that would be too large comes without values (null), and if need be without what the run was asked for.
    """
    fields = _decode_fields(run)
    if len(run) > _LARGEST:
        del fields["kwargs"]
        values = b"null"
    elif len(run) + len(values) > _LARGEST:
        values = b"null"
    return _encode({**fields, "values": Raw(values)})


def pack_content(client: Client, content: bytes) -> tuple[list[tuple[Any, ...]], bytes]:
    """The commands that bring a large content, and what the script after them stores in its place: `k<blob id>`."""
    if len(content) <= INLINE_BYTES:
        return [], content
    slices, blob_id = keep(client, content, _CALL_TTL)
    return slices, f"k{blob_id}".encode()


class Webhooks:
    """The calls in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = client.keys

    async def claim(self, request: str, lease: float, busy: Collection[str] = ()) -> tuple[Call | None, float]:
        """The call that is due first, and the seconds until one is due (-1: none is known). `lease` in seconds.

        Calls to the receivers in `busy` wait.
        """
        lease_ms = int(lease * 1000)
        wait, *row = await self._client.script("webhook_claim", request=request, lease=lease_ms, busy=busy)
        if not row:
            return None, wait / 1000 if wait >= 0 else -1
        run_id, receiver, url, content, thread, status, error, started, ended, attempt = row
        call = Call(
            request=request,
            run_id=run_id.decode(),
            receiver=receiver.decode(),
            url=url.decode(),
            content=content or b"",
            thread_id=thread.decode(),
            status=status.decode(),
            error=error or b"",
            started=int(started or 0),
            ended=int(ended),
            attempt=int(attempt),
        )
        return call, 0

    async def note(self, call: Call, outcome: Outcome, said: str, delay: float = 0) -> bool:
        """What became of an attempt; `delay` is the time (seconds) to the next. False: it does not count any more."""
        noted = await self._client.script(
            "webhook_note",
            run_id=call.run_id,
            request=call.request,
            outcome=outcome,
            said=said,
            delay=int(delay * 1000),
            failed_ttl=1000 * self._client.settings.lineshaft_webhook_failed_ttl_seconds,
        )
        return bool(noted)

    async def body(self, call: Call, sent: int) -> bytes:
        """The payload of a call that is sent at `sent` (ms): the run, its values, and how it ended."""
        content = call.content
        if content[:1] == b"k":
            content = await whole(self._client, self._keys.blob(content[1:].decode()))
        fields: dict[str, Any] = _decode_fields(content) if content else await self._record(call)
        fields["status"] = call.status
        if call.error:
            fields["error"] = Raw(call.error)
        fields["updated_at"] = fields["run_ended_at"] = iso(call.ended)
        fields["run_started_at"] = iso(call.started) if call.started else None
        fields["webhook_sent_at"] = iso(sent)
        allowed = self._client.settings.langgraph_webhooks.allowed_fields
        return _encode(fields if allowed is None else {name: fields[name] for name in allowed if name in fields})

    async def _record(self, call: Call) -> dict[str, Any]:
        """Of a run that ended without a worker: its record, if that is still there."""
        try:
            run = await RunStore(self._client).get(call.thread_id, call.run_id)
        except NotFound:
            return {"run_id": call.run_id, "thread_id": call.thread_id, "values": None}
        return {**{name: getattr(run, name) for name in Run.__struct_fields__}, "values": None}

    async def failed(self, limit: int) -> list[CallRecord]:
        """Those that were given up and are still known, the newest first."""
        found = []
        for run_id in await self._client.command("ZREVRANGE", self._keys.webhooks_failed(), 0, limit - 1):
            with contextlib.suppress(NotFound):  # it has expired meanwhile
                found.append(await self.read(run_id.decode()))
        return found

    async def read(self, run_id: str) -> CallRecord:
        """Raises NotFound: the run named no webhook, has not ended, or its call is too long ago."""
        key = self._keys.webhook(run_id)
        url, outcome, count = await self._client.command("HMGET", key, "url", "outcome", "attempts")
        if count is None:
            raise NotFound(f"No webhook call of run {run_id} is known")
        attempts = []
        for n in range(1, int(count) + 1):
            began, ended, said = await self._client.command("HMGET", key, f"began:{n}", f"ended:{n}", f"said:{n}")
            attempts.append(Attempt(iso(int(began or 0)), iso(int(ended)) if ended else None, said and said.decode()))
        return CallRecord(run_id, url.decode(), outcome.decode(), attempts)
