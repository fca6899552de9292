"""The configuration a run really has: what its assistant, its thread and its request say, merged."""

from typing import Any

import msgspec
from msgspec import UNSET

from lineshaft.queues.choice import CHOICES

from .request import EVENT_STREAMING, RunSpec, RunUser


class AssistantPart(msgspec.Struct):
    """The fields of an assistant's document that a run takes over."""

    config: dict[str, Any] = {}
    context: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


_decode_assistant = msgspec.json.Decoder(AssistantPart).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class GraphUser(dict[str, Any]):
    """A user as graphs read one: `user["team"]` or `user.team`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Effective(msgspec.Struct):
    """`metadata` of the run, the graph's `config` (configurable, metadata, tags, recursion_limit) and `context`."""

    metadata: dict[str, Any]
    config: dict[str, Any]
    context: dict[str, Any]


def effective(
    spec: RunSpec, assistant: bytes, thread_metadata: bytes, *, run_id: str, thread_id: str, graph_id: str
) -> Effective:
    """Merge; later wins: assistant, thread, `config.metadata`, `metadata`. Nobody overrides the true ids.

    `assistant` is the assistant's document and `thread_metadata` the thread's metadata, both JSON as they were when
    the run was created: a later change of either does not touch the run.
    """
    base = _decode_assistant(assistant)
    tags, limit, configurable, config_metadata = (
        getattr(spec.config, name) for name in ("tags", "recursion_limit", "configurable", "metadata")
    )
    metadata = {
        **base.metadata,
        "graph_id": graph_id,
        **(_decode_object(thread_metadata) if thread_metadata else {}),
        **(config_metadata or {}),
        **spec.metadata,
        "assistant_id": spec.assistant_id,
    }
    # A graph may read either: what is given as context is found in configurable too, and the reverse.
    context = {**base.context, **(configurable or {}), **spec.context}
    for name in (EVENT_STREAMING, *CHOICES):  # nothing that a graph has asked for
        context.pop(name, None)
    config: dict[str, Any] = {k: v for k, v in base.config.items() if k not in ("configurable", "metadata")}
    if tags is not UNSET:
        config["tags"] = tags
    if limit is not UNSET:
        config["recursion_limit"] = limit
    user = spec.user or RunUser("")
    config["configurable"] = {
        **base.config.get("configurable", {}),
        **base.context,
        **(configurable or {}),
        **spec.context,
        **spec.headers,
        "run_id": run_id,
        "thread_id": thread_id,
        "graph_id": graph_id,
        "assistant_id": spec.assistant_id,
        "user_id": user.identity,
        "langgraph_auth_user": GraphUser(user.document) if spec.user else None,
        "langgraph_auth_user_id": user.identity,
        "langgraph_auth_permissions": user.permissions,
        "langgraph_request_id": spec.request_id,
        "__request_start_time_ms__": spec.requested_ms,
        "__after_seconds__": spec.after_seconds,
    }
    if spec.langsmith_tracer:
        config["configurable"]["__langsmith_project__"] = spec.langsmith_tracer.project_name
        config["configurable"]["__langsmith_example_id__"] = spec.langsmith_tracer.example_id
    config["metadata"] = metadata
    return Effective(metadata, config, context)
