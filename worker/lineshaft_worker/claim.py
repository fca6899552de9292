"""A claimed run: all that a worker needs to execute it, as the claim script returns it in one round trip."""

from typing import Any

import msgspec
from msgspec import Struct

from lineshaft import log
from lineshaft.redis import Client
from lineshaft.run_config import Effective, effective
from lineshaft.run_request import RunInput, RunSpec

logger = log.get("worker")

_decode_spec = msgspec.json.Decoder(RunSpec).decode
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
    spec: RunSpec
    config: Effective
    input: RunInput
    messages: list[dict[str, Any]]  # taken from the thread's inbox


async def claim(client: Client, worker: str, request: str, queue: str, room: int) -> tuple[int, list[Claim]]:
    """Up to `room` due runs, and in how many ms the next one is due (-1: another worker keeps that timer).

    Raises Fenced when this worker's lease is gone.
    """
    next_due, *rows = await client.script(
        "run_claim",
        worker=worker,
        request=request,
        queue=queue,
        room=room,
        lease=int(client.settings.lineshaft_lease_seconds * 1000),
        max_crashes=client.settings.lineshaft_max_crashes,
    )
    claims = []
    for row in rows:
        try:
            claims.append(await _claim(client, row))
        except msgspec.MsgspecError as error:
            # A newer gateway's run, perhaps: it must not end the loop, and all that runs beside it.
            run_id, _, token, *_ = row
            logger.warning("a claimed run cannot be read", run_id=run_id.decode(), error=str(error))
            limit = client.settings.lineshaft_max_crashes
            await client.script("run_take_back", run_id=run_id, token=token, max_crashes=limit)
    return int(next_due), claims


async def _claim(client: Client, row: list[Any]) -> Claim:
    run_id, fields, token, attempt, slices, first, held = row
    thread, graph, _assistant, doc, amd, tmd, created, wrote, cancel, reason, temporary, *_ = fields
    run_id = run_id.decode()
    spec = _decode_spec(doc)
    thread_id, graph_id = thread.decode(), graph.decode()
    payload = first or b"{}"
    if slices > 1:
        key = client.keys.run_input(run_id)
        payload = b"".join(await client.command("LRANGE", key, 0, -1))
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
        spec=spec,
        config=effective(spec, amd, tmd, run_id=run_id, thread_id=thread_id, graph_id=graph_id),
        input=_decode_input(payload),
        messages=[msgspec.json.decode(message) for message in held],
    )
