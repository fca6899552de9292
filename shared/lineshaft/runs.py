"""Runs: their record, and the store that creates, reads and deletes them. Executing them is the worker's matter."""

import time
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from .clock import iso
from .errors import Invalid, NotFound
from .graphs import GraphRegistry
from .ids import canonical, system_assistant, uuid7
from .queue import DEFAULT_QUEUE, job_payload
from .redis import Client
from .run_config import effective
from .run_request import RunCreate, RunInput, RunSpec, accept
from .search import index_leaves

RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
TERMINAL = ("success", "error", "timeout", "interrupted")
# A larger input goes to Redis in slices of its own, so that no script moves more than this at once.
_INLINE_BYTES = 256 * 1024
_SLICE_BYTES = 1024 * 1024
# More than this on one thread is a client that does not wait for answers; each costs memory and its turn.
_MAX_WAITING = 100

_encode = msgspec.json.encode
_decode_spec = msgspec.json.Decoder(RunSpec).decode


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


class RunRecord(Struct):
    """The fields of a run's hash that answers are made of."""

    thread: str
    graph: str
    assistant: str
    status: str
    created: int  # ms, the time it is due
    updated: int  # ms
    position: str  # the thread's newest log entry when the run was created
    resumable: bool
    spec: RunSpec
    assistant_doc: bytes
    thread_metadata: bytes
    cancel: str = ""  # the action asked for
    first: str = ""  # its first log entry: it has begun
    wrote: bool = False  # it has written checkpoints

    @property
    def is_active(self) -> bool:
        """Whether it still waits, runs, or is being stopped."""
        return self.status not in TERMINAL

    @property
    def visible_status(self) -> RunStatus:
        """What clients see: a run that is being cancelled has ended for them."""
        return "interrupted" if self.cancel else self.status  # type: ignore[return-value]  # scripts write only these


_FIELDS = (
    "thread", "graph", "assistant", "status", "cancel", "created", "updated", "first", "position", "wrote", "doc",
    "amd", "tmd",
)  # fmt: skip


class RunStore:
    """Runs in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = client.keys

    async def create(self, thread_id: str | None, request: RunCreate, *, request_id: str = "") -> Created:
        """Enqueue a run in one round trip; without `thread_id` on a thread of its own.

        Raises Invalid, BadRequest, NotFound (thread, assistant), Conflict (reject on a busy thread), TooMany.
        """
        spec, run_input = accept(
            request, stateless=thread_id is None, request_id=request_id, requested_ms=int(time.time() * 1000)
        )
        run_id = uuid7()
        try:
            spec.assistant_id = canonical(request.assistant_id, "assistant")
            named = None
        except Invalid:
            spec.assistant_id, named = system_assistant(request.assistant_id), request.assistant_id
        owner = thread_id or uuid7()
        payload = _encode(run_input)
        slices = [payload]
        commands: list[tuple[Any, ...]] = []
        if len(payload) > _INLINE_BYTES:
            key = self._keys.run_input(run_id)
            pieces = [payload[i : i + _SLICE_BYTES] for i in range(0, len(payload), _SLICE_BYTES)]
            # A minute is ample for the same pipeline's script to take the slices over; refused, they go by themselves.
            commands = [("DEL", key), *(("RPUSH", key, piece) for piece in pieces), ("EXPIRE", key, 60)]
            slices = []
        config = {k: v for k, v in msgspec.to_builtins(spec.config).items() if k not in ("configurable", "metadata")}
        settings = self._client.settings
        creates = thread_id is None or request.if_not_exists == "create"
        try:
            answer = await self._client.after(
                commands,
                "run_enqueue",
                run_id=run_id,
                thread_id=owner,
                assistant_id=spec.assistant_id,
                queue=DEFAULT_QUEUE,
                job=job_payload(run_id),
                doc=_encode(spec),
                multitask=spec.multitask_strategy,
                creates=creates,
                temporary=spec.temporary,
                takes_inbox=bytes(run_input.input) == b"null" and run_input.command is None and spec.checkpoint is None,
                delay=int(spec.after_seconds * 1000),
                metadata=_encode(spec.metadata) if creates else "",
                leaves=" ".join(index_leaves(spec.metadata)) if creates else "",
                run_config=_encode(config),
                events_ttl=1000
                * (settings.resumable_stream_ttl_seconds if spec.resumable else settings.lineshaft_events_ttl_seconds),
                input_ttl=1000 * settings.lineshaft_input_ttl_seconds,
                runs_kept=settings.lineshaft_runs_kept_per_thread,
                max_waiting=_MAX_WAITING,
                input=slices,
            )
        except NotFound:
            if named is not None:
                graphs = [d.graph_id for d in await GraphRegistry(self._client).list()]
                if named not in graphs:
                    known = ", ".join(sorted(graphs)) or "none"
                    raise Invalid(f"Invalid assistant: {named!r}. Use an assistant UUID or a graph: {known}") from None
            raise
        status, created, updated, graph, assistant_doc, thread_metadata, position = answer
        record = RunRecord(
            thread=owner,
            graph=graph.decode(),
            assistant=spec.assistant_id,
            status=status.decode(),
            created=int(created),
            updated=int(updated),
            position=position.decode(),
            resumable=spec.resumable,
            spec=spec,
            assistant_doc=assistant_doc,
            thread_metadata=thread_metadata,
        )
        return Created(_run(run_id, record, payload), record.position)

    async def record(self, thread_id: str, run_id: str) -> RunRecord:
        """The run's own fields. Raises NotFound, also for a run of another thread or one being rolled back."""
        record = _record(await self._client.command("HMGET", self._keys.run(run_id), *_FIELDS))
        if record is None or record.thread != thread_id:
            raise NotFound(f"Run with ID {run_id} not found")
        return record

    async def get(self, thread_id: str, run_id: str) -> Run:
        """Raises NotFound."""
        (run,) = await self._load([run_id])
        if run is None or run.thread_id != thread_id:
            raise NotFound(f"Run with ID {run_id} not found")
        return run

    async def page(self, thread_id: str, *, limit: int, offset: int, status: str | None = None) -> list[Run]:
        """Newest first. Raises NotFound for an unknown thread."""
        exists, ids = await self._client.commands(
            ("HEXISTS", self._keys.thread(thread_id), "created"),
            ("ZREVRANGE", self._keys.thread_runs(thread_id), 0, -1),
        )
        if not exists:
            raise NotFound(f"Thread with ID {thread_id} not found")
        found: list[Run] = []
        # Pages of 100 records at most: a filter may have to look at all the runs a thread keeps.
        for start in range(0 if status else offset, len(ids), 100):
            page = await self._load([i.decode() for i in ids[start : start + 100]])
            found += [run for run in page if run and (status is None or run.status == status)]
            if len(found) >= limit + (offset if status else 0):
                break
        return found[offset : offset + limit] if status else found[:limit]

    async def position(self, thread_id: str) -> str:
        """The id of the newest entry in the thread's event log: what comes from now on is behind it."""
        ms, n = await self._client.command("HMGET", self._keys.thread(thread_id), "log_ms", "log_n")
        return f"{(ms or b'0').decode()}-{(n or b'0').decode()}"

    async def forget(self, thread_id: str, run_id: str) -> None:
        """Delete the record of a run that has ended. Raises NotFound, or Conflict while it has not."""
        await self._client.script("run_forget", run_id=run_id, thread_id=thread_id)

    async def _load(self, run_ids: list[str]) -> list[Run | None]:
        if not run_ids:
            return []
        answers = await self._client.commands(
            *(("HMGET", self._keys.run(run_id), *_FIELDS) for run_id in run_ids),
            *(("LRANGE", self._keys.run_input(run_id), 0, -1) for run_id in run_ids),
        )
        out: list[Run | None] = []
        for i, run_id in enumerate(run_ids):
            record = _record(answers[i])
            out.append(_run(run_id, record, b"".join(answers[len(run_ids) + i])) if record else None)
        return out


def _record(fields: list[bytes | None]) -> RunRecord | None:
    thread, graph, assistant, status, cancel, created, updated, first, position, wrote, doc, amd, tmd = fields
    if status is None or doc is None or cancel == b"rollback":
        return None
    spec = _decode_spec(doc)
    return RunRecord(
        thread=_text(thread),
        graph=_text(graph),
        assistant=_text(assistant),
        status=_text(status),
        cancel=_text(cancel),
        created=int(created or 0),
        updated=int(updated or 0),
        first=_text(first),
        position=_text(position),
        resumable=spec.resumable,
        wrote=wrote == b"1",
        spec=spec,
        assistant_doc=amd or b"{}",
        thread_metadata=tmd or b"{}",
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _run(run_id: str, record: RunRecord, payload: bytes) -> Run:
    """The record as clients see it. `payload` is the run's input, empty after it has expired."""
    spec = record.spec
    run_input = msgspec.json.decode(payload, type=RunInput) if payload else RunInput()
    merged = effective(
        spec, record.assistant_doc, record.thread_metadata,
        run_id=run_id, thread_id=record.thread, graph_id=record.graph,
    )  # fmt: skip
    if spec.checkpoint:
        named = msgspec.to_builtins(spec.checkpoint)
        merged.config["configurable"].update({k: v for k, v in named.items() if v is not None and k != "thread_id"})
    kwargs = {
        "input": Raw(run_input.input),
        "command": run_input.command,
        "config": merged.config,
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
        thread_id=record.thread,
        assistant_id=record.assistant,
        metadata=merged.metadata,
        status=record.visible_status,
        kwargs=kwargs,
        multitask_strategy=spec.multitask_strategy,
        created_at=iso(record.created),
        updated_at=iso(record.updated),
    )
