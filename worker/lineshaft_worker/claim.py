"""A claimed run: all that a worker needs to execute it, as the claim script returns it in one round trip."""

import contextlib
from typing import Any

import msgspec
from msgspec import Struct

from lineshaft.errors import Fenced
from lineshaft.redis.client import Client
from lineshaft.redis.slices import whole
from lineshaft.runs.config import Effective, effective
from lineshaft.runs.request import RunInput, RunSpec
from lineshaft.runs.run import shown_run
from lineshaft.telemetry import log, tracing

logger = log.get("worker")

_decode_spec = msgspec.json.Decoder(RunSpec).decode
# Seconds from a run's being asked for after which its attempt is a trace of its own.
_LATE = 60.0

_decode_input = msgspec.json.Decoder(RunInput).decode


class Claim(Struct):
    """One run in our hands until it ends, is handed back, or its token is refused."""

    run_id: str
    token: str
    attempt: int
    thread_id: str
    graph_id: str
    created: int
    wrote: bool  # an earlier attempt, or this one, has written checkpoints
    cancel: str  # the action asked for before the claim: there is nothing to execute, only to settle
    cancel_reason: str
    temporary: bool
    dead: bytes  # the error (JSON) of a run that too many workers died with: there, too, is only to settle
    queue: str
    crashes: int  # workers that died with it
    is_first: bool  # no worker has had it before, not even for a moment
    age: float  # seconds from its being due to this claim
    wait: float  # seconds of them in which nothing was lacking but a free slot
    protocol_v2: bool  # its events are to be those of protocol v2
    trace: str  # the context of the trace that it was published in, see lineshaft.telemetry.tracing
    spec: RunSpec
    config: Effective
    input: RunInput
    messages: list[dict[str, Any]]  # taken from the thread's inbox

    def about(self) -> dict[str, str | int]:
        """What the log's lines say of it, those of its graph too."""
        return {
            "run_id": self.run_id,
            "thread_id": self.thread_id,
            "assistant_id": self.spec.assistant_id,
            "graph": self.graph_id,
            "queue": self.queue,
            "attempt": self.attempt,
            "request_id": self.spec.request_id,
        }

    def span(self) -> tracing.Span:
        """That of this attempt.

        It is part of the trace in which the run was published, if that was just now and nothing came in between. A
        later attempt would make that trace look as if it had lasted until then.
        """
        is_late = max(self.age, self.spec.after_seconds) > _LATE
        is_cron = "cron_id" in self.config.config["configurable"]
        return tracing.process(
            self.trace, self.run_id, linked=is_late or is_cron or not self.is_first,
            queue=self.queue, thread_id=self.thread_id, assistant_id=self.spec.assistant_id, graph=self.graph_id,
            attempt=self.attempt,
        )  # fmt: skip

    def shown(self) -> bytes:
        """The run as clients see it, in JSON."""
        run = shown_run(
            self.spec, self.config, self.input,
            run_id=self.run_id, thread_id=self.thread_id, status="running", created=self.created, updated=self.created,
        )  # fmt: skip
        return msgspec.json.encode(run)


async def claim(
    client: Client, worker: str, request: str, rooms: dict[str, int], shares: str = ""
) -> tuple[int, set[str], list[Claim]]:
    """Up to `rooms` due runs of each queue; all but the overflow queue share one room, as `shares` says.

    Before them: in how many ms the next one is due (-1: another worker keeps that timer), and the queues whose due runs
    can be ours only when one of our runs has ended. Raises Fenced when this worker's lease is gone.
    """
    (next_due, *awaited), *rows = await client.script(
        "run_claim",
        worker=worker,
        request=request,
        lease=int(client.settings.lineshaft_lease_seconds * 1000),
        max_crashes=client.settings.bg_job_max_retries,
        limits=client.settings.lineshaft_executor.limits.lines,
        shares=shares,
        rooms=[part for room in rooms.items() for part in room],
    )
    claims = []
    for row in rows:
        try:
            claims.append(await _claim(client, row))
        except msgspec.MsgspecError as error:
            # A newer gateway's run, perhaps: it must not end the loop, and all that runs beside it.
            run_id, _, token, *_ = row
            logger.warning("a claimed run cannot be read", run_id=run_id.decode(), error=str(error))
            limit = client.settings.bg_job_max_retries
            with contextlib.suppress(Fenced):  # asked again after a lost answer
                await client.script("run_take_back", run_id=run_id, token=token, max_crashes=limit)
    return int(next_due), {queue.decode() for queue in awaited}, claims


async def _claim(client: Client, row: list[Any]) -> Claim:
    run_id, fields, token, attempt, slices, first, held = row
    thread, graph, _assistant, doc, amd, tmd, created, wrote, cancel, reason, temporary, dead, error, *rest = fields
    queue, protocol, crashes, started, ready, began, trace, *_ = rest
    run_id = run_id.decode()
    spec = _decode_spec(doc)
    thread_id, graph_id = thread.decode(), graph.decode()
    payload = first or b"{}"
    if slices > 1:
        payload += await whole(client, client.keys.run_input(run_id), 1)
    return Claim(
        run_id=run_id,
        token=token.decode(),
        attempt=attempt,
        thread_id=thread_id,
        graph_id=graph_id,
        created=int(created),
        wrote=wrote == b"1",
        cancel=(cancel or b"").decode(),
        cancel_reason=(reason or b"").decode(),
        temporary=temporary == b"1",
        dead=error if dead else b"",
        queue=queue.decode(),
        crashes=int(crashes or 0),
        is_first=int(started) == int(began),
        age=max(0, int(began) - int(created)) / 1000,
        wait=max(0, int(began) - int(ready or began)) / 1000,
        protocol_v2=protocol == b"v2",
        trace=(trace or b"").decode(),
        spec=spec,
        config=effective(spec, amd, tmd, run_id=run_id, thread_id=thread_id, graph_id=graph_id),
        input=_decode_input(payload),
        messages=[msgspec.json.decode(message) for message in held],
    )
