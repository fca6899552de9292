"""What a client may send to start a run, and what of it is kept with the run."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft import nul
from lineshaft.errors import BadRequest, Invalid
from lineshaft.ids import canonical
from lineshaft.queues.choice import CHOICES
from lineshaft.webhooks.policy import WebhookConfig

StreamMode = Literal[
    "values", "updates", "messages", "messages-tuple", "events", "debug", "custom", "tasks", "checkpoints"
]
# What runs of protocol v2 stream. Their clients subscribe to channels and name no modes.
RunMode = StreamMode | Literal["tools", "lifecycle"]
PROTOCOL_MODES: list[RunMode] = [
    "values", "updates", "messages", "tools", "lifecycle", "custom", "tasks", "checkpoints",
]  # fmt: skip
Multitask = Literal["reject", "rollback", "interrupt", "enqueue"]
Durability = Literal["sync", "async", "exit"]
NodeNames = Literal["*"] | list[str]


class Send(Struct):
    """A node to run next, with an input of its own in place of the state."""

    node: str
    input: Any = None


class Command(Struct, omit_defaults=True):
    """Steers a paused graph: answers its interrupts, changes its state, or names the next nodes."""

    update: dict[str, Any] | list[tuple[str, Any]] | UnsetType | None = UNSET
    resume: Any | UnsetType = UNSET
    goto: str | Send | list[str | Send] | UnsetType | None = UNSET


class RunConfig(Struct, omit_defaults=True):
    """LangChain's RunnableConfig, as far as a client may set it."""

    tags: list[str] | UnsetType = UNSET
    recursion_limit: int | UnsetType = UNSET
    configurable: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class Checkpoint(Struct, omit_defaults=True):
    """A point in a thread's history. `thread_id` is ignored: the path names the thread."""

    thread_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_id: str | None = None
    checkpoint_map: dict[str, Any] | None = None

    @property
    def root(self) -> str:
        """The id of a checkpoint of the thread's own graph, else "".

        A graph that is a node elsewhere passes on the place that it has there, which may be none of ours.
        """
        return "" if self.checkpoint_ns or self.checkpoint_map else self.checkpoint_id or ""


class Tracer(Struct):
    """Where a graph that traces itself should put this run: it finds it in its configurable. Nothing is called here."""

    project_name: str | None = None
    example_id: str | None = None


class RunCreate(Struct, kw_only=True):
    """A run to start. Only `assistant_id` is required."""

    assistant_id: Annotated[str, Meta(description="Assistant UUID or graph name.", examples=["chat"])]
    input: Annotated[Raw, Meta(description="Input of the graph; null goes on from the present state.")] | UnsetType = (
        UNSET
    )
    command: dict[str, Any] | None = None
    config: RunConfig | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None
    checkpoint_during: bool | None = None
    durability: Durability | None = None
    stream_mode: StreamMode | list[StreamMode] | UnsetType = UNSET
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: NodeNames | None = None
    interrupt_after: NodeNames | None = None
    multitask_strategy: Multitask = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    # At most a year and a day: what is due later than some years counts as hidden in the queue.
    after_seconds: Annotated[float, Meta(le=31_622_400, description="Delay; negative means now.")] = 0
    webhook: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=65_536,
                description="URL that gets one POST with the outcome when the run ends.",
            ),
        ]
        | None
    ) = None
    feedback_keys: (
        Annotated[list[str], Meta(description="Kept with the run. Nobody is asked for links, so no `feedback` comes.")]
        | None
    ) = None
    langsmith_tracer: Tracer | None = None


class RunUser(Struct, omit_defaults=True):
    """Whoever asked for a run, as its graph is told: `document` is all that is known of them."""

    identity: str
    permissions: list[str] = []
    document: dict[str, Any] = {}


class RunSpec(Struct, kw_only=True, omit_defaults=True):
    """A run as it was asked for, defaults filled in: kept with the run and read by its worker."""

    assistant_id: str
    metadata: dict[str, Any] = {}
    config: RunConfig = msgspec.field(default_factory=RunConfig)
    context: dict[str, Any] = {}
    checkpoint: Checkpoint | None = None
    checkpoint_during: bool = True
    durability: Durability = "async"
    stream_mode: list[RunMode] = msgspec.field(default_factory=lambda: ["values"])
    subgraphs: bool = False
    resumable: bool = False
    interrupt_before: NodeNames | None = None
    interrupt_after: NodeNames | None = None
    multitask_strategy: Multitask = "enqueue"
    temporary: bool = False
    webhook: str | None = None
    feedback_keys: list[str] | None = None
    langsmith_tracer: Tracer | None = None
    user: RunUser | None = None  # None: nobody was asked who they are
    headers: dict[str, str] = {}  # of the request, as `http.configurable_headers` of langgraph.json chooses them
    request_id: str = ""
    requested_ms: int = 0
    after_seconds: float = 0
    retry_of: str = ""  # the run that an operator had tried again
    # The run from whose checkpoints it goes on, as another attempt of that one would: that one, or one tried before it.
    goes_on_from: str = ""


class RunInput(Struct, omit_defaults=True):
    """The part of a request that can be large, and that dies some time after the run."""

    input: Raw = Raw(b"null")
    command: Command | None = None


# In the configurable of runs of protocol v2.
EVENT_STREAMING = "__event_streaming_v2"
# Names that the server itself sets: a client's values for them are dropped without an error, as clients expect.
RESERVED_METADATA = {"thread_id", "assistant_id", "run_id", "cron_id", "counters_since_delta_snapshot"}
RESERVED_CONFIGURABLE = {
    "langgraph_auth_user", "langgraph_auth_user_id", "langgraph_auth_permissions", "langgraph_request_id",
    "__langsmith_project__", "__langsmith_example_id__", "__request_start_time_ms__", "__after_seconds__",
    "__otel_traceparent__", "__otel_tracestate__", "__dd_trace_headers__", "__pregel_node_finished",
    "__context_provided__", EVENT_STREAMING,
}  # fmt: skip


def without(mapping: dict[str, Any] | UnsetType, names: set[str]) -> dict[str, Any]:
    """A mapping less the names that a client may not set."""
    if mapping is UNSET:
        return {}
    return {key: value for key, value in mapping.items() if key not in names} if names & mapping.keys() else mapping


def accept(
    request: RunCreate,
    *,
    stateless: bool,
    request_id: str,
    requested_ms: int,
    webhooks: WebhookConfig,
    cron_id: str = "",
    user: RunUser | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[RunSpec, RunInput]:
    """Check a request as a whole and fill in what it left out. `cron_id` is the cron whose run it is, or ''.

    Raises Invalid (422) for values that cannot be used, BadRequest (400) for values that contradict each other.
    """
    command = accept_command(request.command)
    if stateless and command is not None and command.resume is not UNSET:
        raise BadRequest("command.resume needs a thread: use a run endpoint with a thread_id")
    config = RunConfig() if request.config is UNSET else request.config
    configurable = without(config.configurable, RESERVED_CONFIGURABLE)
    context = without(request.context, RESERVED_CONFIGURABLE)
    nul.refuse_in_keys(configurable, context)
    if cron_id:
        configurable = {**configurable, "cron_id": cron_id}
    elif configurable.keys() - CHOICES and context:
        raise BadRequest("Cannot specify both configurable and context. Use context.")
    modes = [] if request.stream_mode is UNSET else request.stream_mode
    if isinstance(modes, str):
        modes = [modes]
    checkpoint = _checkpoint(request, configurable)
    durability = request.durability or ("exit" if request.checkpoint_during is False else "async")
    spec = RunSpec(
        assistant_id="",
        metadata=nul.replaced(without(request.metadata, RESERVED_METADATA)),
        config=RunConfig(
            config.tags,
            config.recursion_limit,
            configurable,
            nul.replaced(without(config.metadata, RESERVED_METADATA)),
        ),
        context=context,
        checkpoint=None if stateless else checkpoint,  # a thread of its own has none yet
        checkpoint_during=request.checkpoint_during is not False,
        durability=durability,
        stream_mode=[*modes] or ["values"],
        subgraphs=request.stream_subgraphs,
        resumable=request.stream_resumable,
        interrupt_before=request.interrupt_before,
        interrupt_after=request.interrupt_after,
        multitask_strategy=request.multitask_strategy,
        temporary=stateless and request.on_completion == "delete",
        webhook=None if request.webhook is None else webhooks.checked_url(request.webhook),
        feedback_keys=request.feedback_keys,
        langsmith_tracer=request.langsmith_tracer,
        user=user,
        headers=without(headers or {}, RESERVED_CONFIGURABLE),
        request_id=request_id,
        requested_ms=requested_ms,
        after_seconds=max(0, request.after_seconds),
    )
    return spec, RunInput(Raw(b"null") if request.input is UNSET else request.input, command)


def accept_command(given: dict[str, Any] | None) -> Command | None:
    """The command that a client sent. Raises Invalid for one that says nothing, or what no command can say."""
    if not given:
        return None
    try:
        command = msgspec.convert(given, Command)
    except msgspec.ValidationError as error:
        raise Invalid(f"command: {error}") from None
    if unknown := given.keys() - {"update", "resume", "goto"}:
        raise Invalid(f"command: unknown field {min(unknown)!r}; use update, resume or goto")
    if isinstance(command.goto, list) and len({type(target) for target in command.goto}) > 1:
        raise Invalid("command: goto is either a list of node names or a list of sends, not both - at `$.goto`")
    nothing: tuple[Any, ...] = (None, UNSET, [], {})
    if command.update in nothing and command.resume in (None, UNSET) and command.goto in nothing:
        raise Invalid("command: it is empty; give it an update, a resume value or a goto, or leave it out")
    return command


def _checkpoint(request: RunCreate, configurable: dict[str, Any]) -> Checkpoint | None:
    """The three ways to name a checkpoint are equivalent."""
    checkpoint = request.checkpoint
    if request.checkpoint_id is not None:
        checkpoint_id = canonical(request.checkpoint_id, "checkpoint")
        ns = checkpoint.checkpoint_ns if checkpoint else None
        return Checkpoint(None, ns, checkpoint_id, checkpoint.checkpoint_map if checkpoint else None)
    if checkpoint is None and isinstance(named := configurable.get("checkpoint_id"), str):
        return Checkpoint(None, None, named, None)
    return checkpoint if checkpoint and checkpoint.checkpoint_id else None
