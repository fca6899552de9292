"""What an attempt to execute a run passes to its graph.

The first attempt passes what the client sent. A later one goes on from what is stored: a step that is done does not run
again, an answer is not given twice, nobody's approval is taken for granted, and an input not stored yet is not lost.
"""

import contextlib
import dataclasses
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph._internal._config import DEFAULT_RECURSION_LIMIT  # private, as the next: pinned by tests
from langgraph._internal._constants import CONFIG_KEY_RESUMING
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Command
from pydantic import BaseModel

from lineshaft.errors import Invalid, NotFound

from . import answers
from .breakpoints import at_breakpoint
from .claim import Claim
from .command import command_of, names_interrupts, with_resume
from .graphs import Graph
from .levels import Level, read_levels
from .missing_nodes import check_head, check_nodes

_LANGGRAPH_VERSION = version("langgraph")
# What a client may set of a config besides configurable and metadata; an assistant may hold anything.
_SETTINGS = ("tags", "recursion_limit", "max_concurrency", "run_name")
_PLACE = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")


class Plan(NamedTuple):
    """What to pass to the graph; `finished`: nothing, an earlier attempt has stopped at a breakpoint."""

    graph_input: Any
    config: RunnableConfig
    finished: bool = False


def run_config(claim: Claim) -> RunnableConfig:
    """The config of a run, without the checkpoint it starts from."""
    given = claim.config.config
    config: Any = {name: given[name] for name in _SETTINGS if given.get(name) is not None}
    # langgraph's own keys steer its execution: a remote graph passes on those of the graph it is a node of.
    config["configurable"] = {
        name: value
        for name, value in given["configurable"].items()
        if name not in _PLACE and not name.startswith("__pregel_")
    }
    config["metadata"] = {
        **given["metadata"],
        "run_id": claim.run_id,
        "thread_id": claim.thread_id,
        "run_attempt": claim.attempt,
        "langgraph_version": _LANGGRAPH_VERSION,
    }
    return config  # type: ignore[no-any-return]  # built key by key


async def plan(claim: Claim, graph: Graph) -> Plan:
    """What this attempt passes to the graph. Reads the thread's state only if the run has written to it or answers it.

    Raises Invalid if posted messages are to go to a graph that takes none, NotFound if the checkpoint that it
    starts from has gone, GraphChanged if the thread waits at a node that the graph lacks, and Fenced.
    """
    config = run_config(claim)
    if "recursion_limit" not in config:
        # Explicitly, or langchain's default of 25 would come in where langgraph's runs through it (astream_events).
        bound = (graph.config or {}).get("recursion_limit")
        config["recursion_limit"] = DEFAULT_RECURSION_LIMIT if bound is None else bound
    graph_input = _graph_input(claim, graph)
    saver = graph._resolve_checkpointer(config)  # noqa: SLF001 - the one langgraph will use; pinned by a test
    if not isinstance(saver, BaseCheckpointSaver):
        return Plan(graph_input, config)
    if claim.wrote or claim.spec.goes_on_from:
        return await _again(claim, graph, saver, graph_input, config)
    config = _placed(config, claim)
    place = claim.spec.checkpoint
    if place and place.root and await saver.aget_tuple(_start(claim)) is None:
        # It was there when the run was asked for. langgraph would start anew, from an empty state.
        raise NotFound(f"Thread {claim.thread_id} has no checkpoint {place.root} any more")
    if isinstance(graph_input, Command) and graph_input.resume is not None:
        graph_input = await _answering(claim, graph, saver, graph_input)
    elif graph_input is None and (head := await saver.aget_tuple(_start(claim))):
        check_head(claim.graph_id, graph, head)
    return Plan(graph_input, config)


def graph_context(graph: Graph, context: dict[str, Any]) -> dict[str, Any] | None:
    """The part of a run's context that the graph's context schema knows.

    None where langgraph's own default is right: no schema and no context, or a schema that cannot do without values.
    """
    schema: Any = graph.context_schema
    if schema is None:
        return context or None
    if dataclasses.is_dataclass(schema):
        fields = [field for field in dataclasses.fields(schema) if field.init]
        known = {field.name for field in fields}
        missing = dataclasses.MISSING
        needs = any(field.default is missing and field.default_factory is missing for field in fields)
    elif isinstance(schema, type) and issubclass(schema, BaseModel):
        if schema.model_config.get("extra") == "allow":
            return context
        known = {name for key, field in schema.model_fields.items() for name in (key, field.alias) if name}
        needs = any(field.is_required() for field in schema.model_fields.values())
    elif hasattr(schema, "__total__"):  # a TypedDict
        known, needs = set(schema.__annotations__), False
    else:
        return context
    kept = {name: value for name, value in context.items() if name in known}
    return kept if kept or not needs else None


def _graph_input(claim: Claim, graph: Graph) -> Any:
    """What the client sent, or what was posted to its thread."""
    if claim.input.command is not None:
        return command_of(claim.input.command)
    if claim.messages:
        if "messages" not in graph.channels:
            raise Invalid(
                f"Messages were posted to the thread, but graph {claim.graph_id!r} has no `messages` in its state"
            )
        return {"messages": claim.messages}
    return msgspec.json.decode(claim.input.input)


def _placed(config: RunnableConfig, claim: Claim) -> RunnableConfig:
    """The config at the checkpoint that the client named."""
    if (checkpoint := claim.spec.checkpoint) is None:
        return config
    named = {name: value for name in _PLACE if (value := getattr(checkpoint, name)) is not None}
    return {**config, "configurable": {**config["configurable"], **named}}


def _thread(claim: Claim) -> RunnableConfig:
    """The head of the thread's root graph."""
    return {"configurable": {"thread_id": claim.thread_id, "checkpoint_ns": ""}}


def _start(claim: Claim) -> RunnableConfig:
    """Where the root graph starts from: the checkpoint that the client named, else the thread's head."""
    config = _thread(claim)
    if named := _named(claim):
        config["configurable"]["checkpoint_id"] = named
    return config


def _named(claim: Claim) -> str:
    """The root graph's checkpoint that the client named, or ""."""
    if (checkpoint := claim.spec.checkpoint) is None:
        return ""
    if checkpoint.checkpoint_map and (root := checkpoint.checkpoint_map.get("")):
        return str(root)
    # A subgraph's checkpoint without a map does not tell the root's: langgraph takes the head.
    return "" if checkpoint.checkpoint_ns else checkpoint.checkpoint_id or ""


async def _answering(
    claim: Claim, graph: Graph, saver: BaseCheckpointSaver[Any], command: Command[Any]
) -> Command[Any] | None:
    """The command of a first attempt, a bare answer in it made out to the interrupt that waits for it."""
    levels = await read_levels(graph, saver, _start(claim))
    check_nodes(claim.graph_id, levels)
    if names_interrupts(command.resume):
        return command
    waiting = levels[0].waiting if levels else set()
    if not waiting:
        return with_resume(command, None)  # else the answer would go to a question that nobody has asked yet
    if len(waiting) > 1:
        return command  # langgraph refuses, and says that ids are needed
    [interrupt] = waiting
    await answers.take_note(saver, levels, interrupt, claim.run_id)
    return with_resume(command, _addressed(graph, saver, levels, interrupt, command.resume))


def _addressed(graph: Graph, saver: BaseCheckpointSaver[Any], levels: list[Level], interrupt: str, value: Any) -> Any:
    resume = answers.addressed(levels, interrupt, value)
    if not names_interrupts(resume):
        graph.checkpointer = answers.without_bare_answers(saver)  # the graph is this run's own copy
    return resume


async def _again(
    claim: Claim, graph: Graph, saver: BaseCheckpointSaver[Any], graph_input: Any, config: RunnableConfig
) -> Plan:
    """The plan of a run that has written something, or that goes on from what another has written.

    The latter goes on as another attempt of that one would, until it has a checkpoint of its own.
    """
    head = await saver.aget_tuple(_thread(claim))
    run_id = claim.run_id
    if claim.spec.goes_on_from and not _is_of(run_id, head):
        run_id = claim.spec.goes_on_from
    own = _is_of(run_id, head)
    is_command = isinstance(graph_input, Command)
    if not own and not is_command and graph_input is not None:
        # Its input is not stored yet. What is (a subgraph's last state, writes of a DeltaChannel) would count twice.
        with contextlib.suppress(NotImplementedError):
            await saver.adelete_for_runs([run_id])
        return Plan(graph_input, _placed(config, claim))
    levels = await read_levels(graph, saver, _thread(claim) if own else _start(claim))
    check_nodes(claim.graph_id, levels)
    if await at_breakpoint(saver, levels, run_id, claim.spec.interrupt_before, claim.spec.interrupt_after):
        return Plan(None, config, finished=True)
    if own:
        if any(level.untold for level in levels):
            # "Resuming" goes for all subgraphs; one with memory that has not begun would skip its turn.
            config["configurable"][CONFIG_KEY_RESUMING] = False
        return Plan(None, config)
    at_head = head is None or _named(claim) in ("", head.checkpoint["id"])
    if not at_head:
        config = _placed(config, claim)
    if not is_command:
        return Plan(None, config)
    if not levels or (not at_head and graph_input.resume is None):
        return Plan(graph_input, config)  # the command is stored with the run's first checkpoint: there is none yet
    root = levels[0]
    steered, resume = 0, None
    if names_interrupts(graph_input.resume):
        resume = {id_: v for id_, v in graph_input.resume.items() if answers.is_due(levels, id_, v)}
    elif note := answers.find_note(levels, run_id):
        steered = note.steered
        if answers.noted_is_due(levels, note, graph_input.resume):
            resume = _addressed(graph, saver, levels, note.interrupt, graph_input.resume)
        else:
            resume = {}  # not None, which at an older checkpoint means to forget the answers that it has
    return Plan(with_resume(graph_input, resume, steer=root.steered <= steered), config)


def _is_of(run_id: str, saved: CheckpointTuple | None) -> bool:
    """Whether a checkpoint is one of the run's that its input is in; langgraph may put an empty one before it."""
    return saved is not None and saved.metadata.get("run_id") == run_id and bool(saved.checkpoint["channel_versions"])
