"""The commands that start runs: `run.start`, and `input.respond`, which goes on with one that has asked something."""

from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw, Struct, UnsetType, field

from lineshaft.errors import Conflict, Invalid, LineshaftError, NotFound, Unavailable
from lineshaft.ids import canonical
from lineshaft.runs.request import Multitask, RunConfig, RunCreate, Tracer
from lineshaft.runs.run import RunStore
from lineshaft_api.auth.running import admit, create_run
from lineshaft_api.auth.sight import sees_thread
from lineshaft_api.context import CLIENT
from lineshaft_api.errors import status_of

from .envelope import Failure
from .pause import Pause

_NULL = Raw(b"null")
_STRATEGIES = Multitask.__args__  # type: ignore[attr-defined]  # of a Literal


class RunStart(Struct):
    """Params of `run.start`."""

    assistant_id: str
    input: Raw = _NULL
    config: RunConfig | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    langsmith_tracer: Tracer | None = None
    multitask: Any = field(default=None, name="multitaskStrategy")

    @property
    def configurable(self) -> dict[str, Any]:
        """What the config says to the graph."""
        found = UNSET if self.config is UNSET else self.config.configurable
        return {} if found is UNSET else found


class Response(Struct):
    """An answer to one interrupt."""

    interrupt_id: str
    response: Any
    namespace: list[str] = []


class InputRespond(Struct):
    """Params of `input.respond`: one answer, or several as `responses`."""

    interrupt_id: str | UnsetType = UNSET
    response: Any = None
    namespace: list[str] = []
    responses: list[Response] | UnsetType = UNSET
    update: Any = None
    goto: Any = None
    config: RunConfig | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET

    def answers(self) -> list[Response]:
        """All of them. Raises Invalid if there is none."""
        if self.responses is not UNSET:
            if not self.responses:
                raise Invalid("params.responses: give at least one")
            return self.responses
        if self.interrupt_id is UNSET:
            raise Invalid("params.interrupt_id: say which interrupt this answers")
        return [Response(self.interrupt_id, self.response, self.namespace)]


async def start_run(request: web.Request, thread_id: str, params: RunStart) -> dict[str, str] | Failure:
    """Start a run, on a new thread if there is none. On a thread that waits for an answer the input is that answer.

    Raises Invalid and Unavailable.
    """
    if (checkpoint_id := params.configurable.get("checkpoint_id")) is not None:
        if not isinstance(checkpoint_id, str):
            raise Invalid("params.config.configurable.checkpoint_id: give a UUID")
        canonical(checkpoint_id, "checkpoint")
    await admit(request, thread_id, _run(params, "enqueue"))
    if refusal := await _would_wait_for_itself(request, thread_id, params.configurable.get("run_id")):
        return refusal
    strategy: Multitask = params.multitask if params.multitask in _STRATEGIES else "enqueue"
    body = _run(params, strategy)
    # Who names a checkpoint goes on from there with a new input, whatever the thread's newest state waits for.
    if bytes(params.input) != b"null" and checkpoint_id is None:
        pause = Pause(request.app, thread_id)
        status, questions = await pause.look()
        if status == "busy" and strategy == "enqueue" and await pause.is_coming() and await pause.rest():
            _, questions = await pause.look()
        if questions:
            body.command = {"resume": _addressed(msgspec.json.decode(params.input), questions)}
            body.multitask_strategy = "reject"
            started = await _create(request, thread_id, body)
            if not isinstance(started, Conflict):
                return started
            # Another client has answered at this very moment: what is asked next is not what this was said to.
            body.command, body.multitask_strategy = None, strategy
    body.input = params.input
    started = await _create(request, thread_id, body)
    return _failure(started) if isinstance(started, Conflict) else started


def _addressed(answer: Any, questions: set[str]) -> Any:
    """The answer, made out to the question that is there: it must not go to another that comes in its place."""
    if len(questions) != 1 or (isinstance(answer, dict) and answer and answer.keys() <= questions):
        return answer
    return dict.fromkeys(questions, answer)


def _run(params: RunStart, strategy: Multitask) -> RunCreate:
    return RunCreate(
        assistant_id=params.assistant_id,
        config=params.config,
        metadata=params.metadata,
        multitask_strategy=strategy,
        if_not_exists="create",
        langsmith_tracer=params.langsmith_tracer,
    )


async def respond(request: web.Request, thread_id: str, params: InputRespond) -> dict[str, str] | Failure:
    """Answer interrupts: a run goes on with what each of them is told.

    Raises Invalid and Unavailable.
    """
    answers = params.answers()
    command: dict[str, Any] = {"resume": {answer.interrupt_id: answer.response for answer in answers}}
    command |= {name: value for name in ("update", "goto") if (value := getattr(params, name)) is not None}
    if not await sees_thread(request, thread_id):
        return Failure("no_such_run", "There is no run on this thread.")
    pause = Pause(request.app, thread_id)
    while True:
        status, questions = await pause.look()
        if status is None:
            return Failure("no_such_run", "There is no run on this thread.")
        if status == "busy" and await pause.rest():
            continue
        unknown = [answer.interrupt_id for answer in answers if answer.interrupt_id not in questions]
        if unknown:
            return Failure("no_such_interrupt", f"Unknown or already-consumed interrupt: {unknown[0]}")
        runs = await RunStore(request.app[CLIENT]).page(thread_id, limit=1, offset=0)
        if not runs:
            return Failure("no_such_run", "There is no run on this thread.")
        body = RunCreate(
            assistant_id=runs[0].assistant_id,
            command=command,
            config=params.config,
            metadata=params.metadata,
            multitask_strategy="reject",  # another client may answer at this very moment
        )
        started = await _create(request, thread_id, body)
        if not isinstance(started, Conflict):
            return started if isinstance(started, Failure) else {}


async def _create(request: web.Request, thread_id: str, body: RunCreate) -> dict[str, str] | Failure | Conflict:
    try:
        created = await create_run(request, thread_id, body, protocol_v2=True)
    except Unavailable:
        raise
    except Conflict as error:
        return error
    except LineshaftError as error:
        return _failure(error)
    return {"run_id": created.run.run_id}


def _failure(error: LineshaftError) -> Failure:
    return Failure("unknown_error", f"{status_of(error)}: {error}")


async def _would_wait_for_itself(request: web.Request, thread_id: str, parent: Any) -> Failure | None:
    """A node that starts a run on its own run's thread, as a remote graph, would wait for its own end."""
    if not isinstance(parent, str):
        return None
    try:
        record = await RunStore(request.app[CLIENT]).record(thread_id, parent)
    except NotFound:
        return None
    if not record.is_active:
        return None
    return Failure("invalid_argument", "A run that waits for another cannot have it on its own thread: name another.")
