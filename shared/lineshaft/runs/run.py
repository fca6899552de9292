"""Runs: their record, and the store that creates, reads and deletes them. Executing them is the worker's matter."""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Raw, Struct

from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.clock import iso
from lineshaft.errors import BadRequest, Invalid, NotFound, TooLarge
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.redis.slices import INLINE_BYTES, SLICE_BYTES, Allowance, whole

from . import order as run_order
from .config import Effective, effective
from .order import RunOrder
from .record import FIELDS, RunRecord, RunStatus, read_record
from .request import RunCreate, RunInput, RunSpec, RunUser

MAX_BATCH = 100  # runs; Redis does nothing else for the milliseconds that it takes to create them

_PAGE = 20  # runs that are read at once


class Run(Struct, kw_only=True):
    """One execution of a graph on a thread."""

    run_id: str
    thread_id: str
    assistant_id: str
    metadata: dict[str, Any]
    status: RunStatus
    kwargs: dict[str, Any]
    multitask_strategy: str
    created_at: str
    updated_at: str
    langsmith_session_name: str | None = None


class Created(Struct):
    """A run that was just enqueued, and the place in the thread's event log after which its events come."""

    run: Run
    position: str


class RunStore:
    """Runs in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = client.keys

    async def create(
        self,
        thread_id: str | None,
        request: RunCreate,
        *,
        request_id: str = "",
        protocol_v2: bool = False,
        user: RunUser | None = None,
        headers: dict[str, str] | None = None,
    ) -> Created:
        """Enqueue a run in one round trip; without `thread_id` on a thread of its own.

        `headers` are those of the request that become part of its configurable.

        A run asked for from within a running one gets a thread of its own too where it names that one's: see the thread
        of the answer.

        Raises Invalid, BadRequest, NotFound (thread, assistant), Conflict (reject on a busy thread), TooMany.
        """
        order = run_order.order(
            self._client, thread_id, request, request_id, protocol_v2=protocol_v2, user=user, headers=headers
        )
        try:
            answer = await run_order.enqueue(self._client, order)
        except NotFound as error:
            is_checkpoint = "assistant" not in str(error)
            if not is_checkpoint and (unknown := await self._unknown_graph(order)):
                raise unknown from None
            raise
        return _created(order, answer)

    async def create_batch(
        self,
        requests: list[RunCreate],
        *,
        request_id: str = "",
        user: RunUser | None = None,
        headers: dict[str, str] | None = None,
    ) -> list[Created]:
        """Enqueue runs on threads of their own in one round trip, all of them or none.

        No node waits for one of them, so none is nested. Raises Invalid, BadRequest, NotFound (assistant), TooLarge;
        what they say ends with the place of the request.
        """
        if not requests:
            raise Invalid("Request body: a batch has one run at least")
        if len(requests) > MAX_BATCH:
            raise TooLarge(f"Request body: {len(requests)} runs in a batch (limit: {MAX_BATCH}); send several batches")
        orders: list[RunOrder] = []
        common: dict[str, Any] = {"inline": INLINE_BYTES // len(requests), "user": user, "headers": headers}
        for request in requests:
            try:
                orders.append(run_order.order(self._client, None, request, request_id, **common))
            except (Invalid, BadRequest, TooLarge) as error:
                raise type(error)(f"{error} - at `$[{len(orders)}]`") from None
        try:
            answers = await run_order.enqueue_batch(self._client, orders)
        except NotFound as error:
            place = [order.spec.assistant_id for order in orders].index(str(error))
            refusal = await self._unknown_graph(orders[place]) or NotFound("Thread or assistant not found")
            raise type(refusal)(f"{refusal} - at `$[{place}]`") from None
        return [_created(order, answer) for order, answer in zip(orders, answers, strict=True)]

    async def _unknown_graph(self, order: RunOrder) -> Invalid | None:
        """What is wrong with an assistant that was not found, if it was named after a graph that nobody has."""
        graphs = [d.graph_id for d in await GraphRegistry(self._client).list()]
        if order.named is None or order.named in graphs:
            return None
        known = ", ".join(sorted(graphs)) or "none"
        return Invalid(f"Invalid assistant: {order.named!r}. Use an assistant UUID or a graph: {known}")

    async def find(self, run_id: str) -> str:
        """The id of the thread that a run is on. Raises NotFound."""
        record = read_record(await self._client.command("HMGET", self._keys.run(run_id), *FIELDS))
        if record is None:
            raise NotFound(f"Run with ID {run_id} not found")
        return record.thread

    async def record(self, thread_id: str, run_id: str) -> RunRecord:
        """The run's own fields. Raises NotFound, also for a run of another thread or one being rolled back."""
        record = read_record(await self._client.command("HMGET", self._keys.run(run_id), *FIELDS))
        if record is None or record.thread != thread_id:
            raise NotFound(f"Run with ID {run_id} not found")
        return record

    async def records(self, thread_id: str, run_ids: Collection[str]) -> dict[str, RunRecord]:
        """The records of those that there are, as `record` gives them."""
        answers = await self._client.commands(*(("HMGET", self._keys.run(run_id), *FIELDS) for run_id in run_ids))
        found = {run_id: read_record(fields) for run_id, fields in zip(run_ids, answers, strict=True)}
        return {run_id: record for run_id, record in found.items() if record and record.thread == thread_id}

    async def get(self, thread_id: str, run_id: str) -> Run:
        """Raises NotFound."""
        (run,) = await self._load([run_id])
        if run is None or run.thread_id != thread_id:
            raise NotFound(f"Run with ID {run_id} not found")
        return run

    async def page(self, thread_id: str, *, limit: int, offset: int, status: str | None = None) -> list[Run]:
        """Newest first. Raises NotFound for an unknown thread, and TooLarge if their inputs come to too much."""
        exists, ids = await self._client.commands(
            ("HEXISTS", self._keys.thread(thread_id), "created"),
            ("ZREVRANGE", self._keys.thread_runs(thread_id), 0, -1),
        )
        if not exists:
            raise NotFound(f"Thread with ID {thread_id} not found")
        found: list[Run] = []
        allowance = Allowance()
        # Some at a time, each with up to a MiB of its input: a filter may have to look at all the runs a thread keeps.
        for start in range(0 if status else offset, len(ids), _PAGE):
            page = await self._load([i.decode() for i in ids[start : start + _PAGE]])
            wanted = [run for run in page if run and (status is None or run.status == status)]
            allowance.take(sum(len(run.kwargs["input"]) for run in wanted))
            found += wanted
            if len(found) >= limit + (offset if status else 0):
                break
        return found[offset : offset + limit] if status else found[:limit]

    async def position(self, thread_id: str) -> str:
        """The id of the newest entry in the thread's event log: what comes from now on is behind it."""
        ms, n = await self._client.command("HMGET", self._keys.thread(thread_id), "log_ms", "log_n")
        return f"{(ms or b'0').decode()}-{(n or b'0').decode()}"

    async def forget(self, thread_id: str, run_id: str) -> None:
        """Delete the record of a run that has ended. Raises NotFound, or Conflict while it has not."""
        await self._client.script("run_forget", run_id=run_id, thread_id=thread_id, request=uuid7())

    async def _load(self, run_ids: list[str]) -> list[Run | None]:
        if not run_ids:
            return []
        count = len(run_ids)
        answers = await self._client.commands(
            *(("HMGET", self._keys.run(run_id), *FIELDS) for run_id in run_ids),
            *(("LINDEX", self._keys.run_input(run_id), 0) for run_id in run_ids),
        )
        out: list[Run | None] = []
        for run_id, fields, first in zip(run_ids, answers[:count], answers[count:], strict=True):
            record = read_record(fields)
            payload = first or b""
            if record and len(payload) >= SLICE_BYTES:
                payload += await whole(self._client, self._keys.run_input(run_id), 1)
            out.append(_run(run_id, record, payload) if record else None)
        return out


def _created(order: RunOrder, answer: list[bytes]) -> Created:
    """What run_enqueue.lua answers."""
    status, created, updated, graph, assistant_doc, thread_metadata, position, thread, _queue = answer
    record = RunRecord(
        thread=thread.decode(),
        graph=graph.decode(),
        assistant=order.spec.assistant_id,
        status=status.decode(),
        created=int(created),
        updated=int(updated),
        position=position.decode(),
        resumable=order.spec.resumable,
        spec=order.spec,
        assistant_doc=assistant_doc,
        thread_metadata=thread_metadata,
    )
    return Created(_run(order.run_id, record, order.payload), record.position)


def _run(run_id: str, record: RunRecord, payload: bytes) -> Run:
    """The record as clients see it. `payload` is the run's input, empty after it has expired."""
    merged = effective(
        record.spec, record.assistant_doc, record.thread_metadata,
        run_id=run_id, thread_id=record.thread, graph_id=record.graph,
    )  # fmt: skip
    return shown_run(
        record.spec,
        merged,
        msgspec.json.decode(payload, type=RunInput) if payload else RunInput(),
        run_id=run_id,
        thread_id=record.thread,
        status=record.visible_status,
        created=record.created,
        updated=record.updated,
    )


def shown_run(
    spec: RunSpec,
    merged: Effective,
    run_input: RunInput,
    *,
    run_id: str,
    thread_id: str,
    status: RunStatus,
    created: int,
    updated: int,
) -> Run:
    """A run as clients see it. Times in ms."""
    config = merged.config
    if spec.user:
        # What else is known of a user is for the graph: it may have the keys to their mailbox.
        shown = {"identity": spec.user.identity, "permissions": spec.user.permissions}
        config = {**config, "configurable": {**config["configurable"], "langgraph_auth_user": shown}}
    if spec.checkpoint:
        named = msgspec.to_builtins(spec.checkpoint)
        place = {k: v for k, v in named.items() if v is not None and k != "thread_id"}
        config = {**config, "configurable": {**config["configurable"], **place}}
    kwargs = {
        "input": Raw(run_input.input),
        "command": run_input.command,
        "config": config,
        "context": merged.context,
        "stream_mode": spec.stream_mode,
        "interrupt_before": spec.interrupt_before,
        "interrupt_after": spec.interrupt_after,
        "webhook": spec.webhook,
        "feedback_keys": spec.feedback_keys,
        "temporary": spec.temporary,
        "subgraphs": spec.subgraphs,
        "resumable": spec.resumable,
        "checkpoint_during": spec.checkpoint_during,
        "durability": spec.durability,
    }
    return Run(
        run_id=run_id,
        thread_id=thread_id,
        assistant_id=spec.assistant_id,
        metadata=merged.metadata,
        status=status,
        kwargs=kwargs,
        multitask_strategy=spec.multitask_strategy,
        created_at=iso(created),
        updated_at=iso(updated),
    )
