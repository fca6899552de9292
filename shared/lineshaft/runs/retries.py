"""Trying a run again, as a new run: from its last checkpoint, or from its start if it has written none."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct

from lineshaft.errors import Conflict, NotFound
from lineshaft.ids import derived_uuid7
from lineshaft.queues.choice import Choice
from lineshaft.queues.queue import OVERFLOW_QUEUE
from lineshaft.redis.client import Client
from lineshaft.redis.slices import whole

from . import order as run_order
from .order import Retried
from .record import TERMINAL
from .request import RunCreate, RunInput, RunSpec

_FIELDS = (
    "status", "cancel", "thread", "temporary", "wrote", "ended", "ended_rev", "doc", "protocol", "queue", "home",
    "priority",
)  # fmt: skip


class Retry(Struct, kw_only=True):
    """A run that tries another one again."""

    run_id: str
    thread_id: str
    retry_of: str
    starts: Literal["from its last checkpoint", "from its input"]
    is_new: bool  # False: it was made by an earlier call


async def retry_run(client: Client, run_id: str) -> Retry:
    """Try a run again that has failed, or was cancelled. A repeated call finds the run that the first has made.

    The assistant's present version runs, for the user who asked for the first one. Raises NotFound, and Conflict where
    it makes no sense: the run goes on, or has succeeded; its thread has gone on since, or is busy; its input is gone.
    """
    keys = client.keys
    answers = await client.command("HMGET", keys.run(run_id), *_FIELDS)
    run = {name: value.decode() for name, value in zip(_FIELDS, answers, strict=True) if value is not None}
    if "status" not in run or "doc" not in run or run.get("cancel") == "rollback":
        raise NotFound(f"Run with ID {run_id} not found")
    if run["status"] not in TERMINAL:
        raise Conflict(f"Run {run_id} is still {run['status']}: cancel it first, or let it go on")
    if run["status"] == "success":
        raise Conflict(f"Run {run_id} has succeeded: there is nothing to try again. Start a new run on its thread")
    again = retry_id(run_id, run.get("ended", "0"))
    if existing := await client.command("HGET", keys.run(again), "thread"):
        made = msgspec.json.decode(await client.command("HGET", keys.run(again), "doc"), type=RunSpec)
        return _retry(again, existing.decode(), run_id, goes_on=bool(made.goes_on_from), is_new=False)
    temporary = "temporary" in run
    spec = msgspec.json.decode(run["doc"], type=RunSpec)
    goes_on = (run.get("wrote") == "1" or bool(spec.goes_on_from)) and not temporary
    checkpoints = await client.command("SCARD", keys.run_checkpoints(run_id))
    # One that only failed where another had stopped has none of its own.
    origin = spec.goes_on_from if spec.goes_on_from and not checkpoints else run_id
    payload = await whole(client, keys.run_input(run_id))
    if not payload and not goes_on:
        raise Conflict(f"The input of run {run_id} has expired, and it has written no checkpoint to go on from")
    if not payload and not checkpoints and origin == run_id:
        raise Conflict(f"The input of run {run_id} has expired, and its thread does not hold it")
    run_input = msgspec.json.decode(payload, type=RunInput) if payload else RunInput()
    # What it wrote must be the thread's latest state, and what it answers the question that was open.
    alone = not temporary and (goes_on or run_input.command is not None)
    if alone:
        rev = (await client.command("HGET", keys.thread(run["thread"]), "rev") or b"0").decode()
        if rev != run.get("ended_rev"):
            raise Conflict(
                f"Thread {run['thread']} has gone on since run {run_id} ended, so that cannot be taken up again:"
                " start a new run on the thread"
            )
    queue = run.get("home") or run.get("queue", "")
    choice = Choice("" if queue == OVERFLOW_QUEUE else queue, run.get("priority", ""))
    order = run_order.order(
        client,
        None if temporary else run["thread"],
        _request(spec, run_input, temporary=temporary, alone=alone),
        spec.request_id,
        protocol_v2=run.get("protocol") == "v2",
        cron_id=_configurable(spec).get("cron_id", ""),
        user=spec.user,
        headers=spec.headers,
        retry=Retried(run_id, again, origin if goes_on else "", run["ended_rev"] if alone else "", choice),
    )
    answer = await run_order.enqueue(client, order)
    return _retry(again, answer[7].decode(), run_id, goes_on=goes_on, is_new=True)


def retry_id(run_id: str, ended: str) -> str:
    """The id of the run that tries this one again: always the same, so that it is tried again once."""
    return derived_uuid7(int(float(ended)), f"retry of {run_id}")


def _retry(again: str, thread_id: str, run_id: str, *, goes_on: bool, is_new: bool) -> Retry:
    return Retry(
        run_id=again,
        thread_id=thread_id,
        retry_of=run_id,
        starts="from its last checkpoint" if goes_on else "from its input",
        is_new=is_new,
    )


def _request(spec: RunSpec, run_input: RunInput, *, temporary: bool, alone: bool) -> RunCreate:
    """The request that the run was made of. `alone`: no other run may come before it."""
    config = msgspec.structs.replace(
        spec.config, configurable={k: v for k, v in _configurable(spec).items() if k != "cron_id"} or UNSET
    )
    command: Any = None if run_input.command is None else msgspec.to_builtins(run_input.command)
    return RunCreate(
        assistant_id=spec.assistant_id,
        input=run_input.input,
        command=command,
        config=config,
        context=spec.context or UNSET,
        metadata=spec.metadata or UNSET,
        checkpoint=spec.checkpoint,
        checkpoint_during=spec.checkpoint_during,
        durability=spec.durability,
        # Those that only protocol v2 has are its runs' all the same.
        stream_mode=[mode for mode in spec.stream_mode if mode != "tools" and mode != "lifecycle"],  # noqa: PLR1714 - mypy narrows by this
        stream_subgraphs=spec.subgraphs,
        stream_resumable=spec.resumable,
        interrupt_before=spec.interrupt_before,
        interrupt_after=spec.interrupt_after,
        multitask_strategy="reject" if alone else "enqueue",
        on_completion="delete" if temporary else "keep",
        webhook=spec.webhook,
        feedback_keys=spec.feedback_keys,
        langsmith_tracer=spec.langsmith_tracer,
    )


def _configurable(spec: RunSpec) -> dict[str, Any]:
    return {} if spec.config.configurable is UNSET else spec.config.configurable
