"""A run that is asked for, as the script takes it that creates it (run_enqueue.lua)."""

import time
from typing import Any

import msgspec
from msgspec import Struct

from lineshaft.errors import Invalid, TooLarge
from lineshaft.ids import canonical, nested_thread, system_assistant, uuid7
from lineshaft.metadata import accept_metadata
from lineshaft.queues.choice import Choice, accept_choice, routes, tenant
from lineshaft.queues.queue import job_payload
from lineshaft.redis.client import Client
from lineshaft.redis.slices import INLINE_BYTES, cut
from lineshaft.search import index_leaves
from lineshaft.telemetry import tracing
from lineshaft.threads.ttl import ttl_arguments

from .request import EVENT_STREAMING, PROTOCOL_MODES, RunCreate, RunSpec, RunUser, accept

# More than this on one thread is a client that does not wait for answers; each costs memory and its turn.
_MAX_WAITING = 100
# Bytes of a run's config, context and metadata: they go through scripts in one piece.
_LARGEST_DOC = 1024 * 1024

_encode = msgspec.json.encode


class RunOrder(Struct):
    """A request that was found sound, and all that Redis is told of it."""

    run_id: str
    spec: RunSpec
    payload: bytes  # the input, JSON
    named: str | None  # the assistant's name, if the client gave one and no id
    before: list[tuple[Any, ...]]  # commands that bring a large input; they go before the script
    args: dict[str, Any]  # of run_enqueue.lua


class Retried(Struct, frozen=True):
    """A run that is tried again: under the same id each time, so that it is tried once."""

    run_id: str
    as_run_id: str
    goes_on_from: str  # see RunSpec
    rev: str = ""  # what the thread's must be
    choice: Choice = Choice()  # where it was, whatever queues this process knows: a command line may know none


def order(
    client: Client,
    thread_id: str | None,
    request: RunCreate,
    request_id: str,
    *,
    inline: int = INLINE_BYTES,
    protocol_v2: bool = False,
    cron_id: str = "",
    user: RunUser | None = None,
    headers: dict[str, str] | None = None,
    requested_ms: int | None = None,
    retry: Retried | None = None,
) -> RunOrder:
    """Check a request; without `thread_id` the run gets a thread of its own. Raises Invalid, BadRequest, TooLarge.

    `inline` is up to how many bytes of input the script itself brings. A run of protocol v2 streams all events of that
    protocol, whatever modes the request names. `cron_id` is the cron that fires, or '', and `requested_ms` the time for
    which it does. `retry` says which run this one tries again.
    """
    settings = client.settings
    spec, run_input = accept(
        request,
        stateless=thread_id is None,
        request_id=request_id,
        requested_ms=requested_ms or int(time.time() * 1000),
        webhooks=settings.langgraph_webhooks,
        cron_id=cron_id,
        user=user,
        headers=headers,
    )
    configurable = {**(spec.config.configurable or {}), **spec.context}
    choice = retry.choice if retry else accept_choice(configurable, settings.lineshaft_executor)
    if protocol_v2:
        spec.stream_mode, spec.subgraphs, spec.resumable = [*PROTOCOL_MODES], True, True
        # By this name graphs know it, as on the official server.
        spec.config.configurable = {**(spec.config.configurable or {}), EVENT_STREAMING: True}
    if retry:
        spec.retry_of, spec.goes_on_from = retry.run_id, retry.goes_on_from
    run_id = retry.as_run_id if retry else uuid7()
    try:
        spec.assistant_id, named = canonical(request.assistant_id, "assistant"), None
    except Invalid:
        spec.assistant_id, named = system_assistant(request.assistant_id), request.assistant_id
    owner = thread_id or uuid7()
    payload = _encode(run_input)
    is_large = len(payload) > inline
    doc = _encode(spec)
    if len(doc) > _LARGEST_DOC:
        raise TooLarge(
            f"Config, context and metadata of the run have {len(doc)} bytes (limit: {_LARGEST_DOC}). "
            "Give what is larger to it as its input."
        )
    config = {k: v for k, v in msgspec.to_builtins(spec.config).items() if k not in ("configurable", "metadata")}
    parent = _parent(spec)
    creates = thread_id is None or request.if_not_exists == "create"
    # Of the thread, if the call creates one: what can be stored with a thread is less than what a run may say.
    metadata = accept_metadata(spec.metadata) if creates or parent else {}
    events_ttl = settings.resumable_stream_ttl_seconds if spec.resumable else settings.lineshaft_events_ttl_seconds
    args = {
        "run_id": run_id,
        "thread_id": owner,
        "assistant_id": spec.assistant_id,
        "queue": choice.queue,
        "priority": choice.priority,
        "tenant": tenant(user.identity if user else ""),
        **routes(settings.lineshaft_executor, choice),
        "job": job_payload(run_id),
        "doc": doc,
        "multitask": spec.multitask_strategy,
        "creates": creates,
        # The threads of crons are nobody's to join, but clients look for them while they are there.
        "temporary": "listed" if spec.temporary and cron_id else spec.temporary,
        # Not one that goes on from a checkpoint: its graph would not look at them, and its end would drop them.
        "takes_inbox": bytes(run_input.input) == b"null"
        and run_input.command is None
        and spec.checkpoint is None
        and not spec.goes_on_from,
        "delay": int(spec.after_seconds * 1000),
        "metadata": _encode(metadata),
        "leaves": " ".join(index_leaves(metadata)),
        "parent": parent,
        "nested_thread": nested_thread(owner, spec.assistant_id) if parent else "",
        "run_config": _encode(config),
        "webhook": spec.webhook or "",
        "protocol": "v2" if protocol_v2 else "",
        "trace": "",
        "events_ttl": 1000 * events_ttl,
        "input_ttl": 1000 * settings.lineshaft_input_ttl_seconds,
        "runs_kept": settings.lineshaft_runs_kept_per_thread,
        "max_waiting": _MAX_WAITING,
        "checkpoint": spec.checkpoint.root if spec.checkpoint else "",
        "rev": retry.rev if retry else "",
        **ttl_arguments(None if spec.temporary else settings.thread_ttl),
        "input": [] if is_large else [payload],
    }
    return RunOrder(run_id, spec, payload, named, _slices(client, run_id, payload) if is_large else [], args)


async def enqueue(client: Client, order: RunOrder) -> list[bytes]:
    """Create the run, in one round trip; returns what run_enqueue.lua answers, and raises what it refuses."""
    about = {"thread_id": order.args["thread_id"], "assistant_id": order.spec.assistant_id}
    with tracing.publish(order.run_id, **about) as span:
        answer: list[bytes] = await client.after(order.before, "run_enqueue", **{**order.args, "trace": span.carrier})
        span.note(queue=answer[-1].decode())
        return answer


async def enqueue_batch(client: Client, orders: list[RunOrder]) -> list[list[bytes]]:
    """Create them all or none, in one round trip; returns their answers, and raises what run_batch.lua refuses."""
    script = client.scripts["run_enqueue"]
    with tracing.publish(orders[0].run_id, count=len(orders)) as span:
        own = {"parent": "", "trace": span.carrier}
        rows = [script.encode({**order.args, **own, "input": order.args["input"] or [""]}) for order in orders]
        answers: list[list[bytes]] = await client.after(
            [command for order in orders for command in order.before],
            "run_batch",
            assistants=" ".join({order.spec.assistant_id for order in orders}),
            width=len(rows[0]),
            orders=[part for row in rows for part in row],
        )
        span.note(queue=answers[0][-1].decode())
        return answers


def _slices(client: Client, run_id: str, payload: bytes) -> list[tuple[Any, ...]]:
    script = client.scripts["run_input"]
    args = [script.encode({"run_id": run_id, "number": n, "slice": piece}) for n, piece in enumerate(cut(payload))]
    # EVAL, not EVALSHA: a restarted Redis would not know the script, and its source is nothing beside a slice.
    return [("EVAL", script.source, 0, *argv) for argv in args]


def _parent(spec: RunSpec) -> str:
    """The run in one of whose nodes a client has asked for this one: a RemoteGraph passes its node's config on."""
    configurable = spec.config.configurable
    named = configurable.get("run_id") if configurable is not msgspec.UNSET else None
    return named if isinstance(named, str) else ""
