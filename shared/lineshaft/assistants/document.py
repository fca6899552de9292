"""What an assistant says of itself in one version: checked as a whole when it is made, changed or replaced."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lineshaft.errors import BadRequest, Invalid, TooLarge
from lineshaft.metadata import accept_metadata
from lineshaft.nul import refuse_in_keys
from lineshaft.queues.choice import stored_choice
from lineshaft.runs.request import RESERVED_CONFIGURABLE, RunConfig, without

# A version as JSON: each run gets a copy of its assistant's.
MAX_BYTES = 1_048_576


class AssistantDoc(Struct, kw_only=True):
    """One version of an assistant as it is stored (field `doc`), and copied into each run that is made of it."""

    graph_id: str
    name: str = "Untitled"
    description: str | None = None
    metadata: dict[str, Any] = {}
    config: dict[str, Any] = {}
    context: dict[str, Any] = {}


class AssistantChanges(Struct, kw_only=True):
    """What a new version has other than the one before; what is unset stays."""

    graph_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET  # merged over the old one, key by key
    config: dict[str, Any] | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET


def accept_doc(doc: AssistantDoc) -> AssistantDoc:
    """The version that is stored of what a client sent: reserved names dropped, config and context in step.

    Raises BadRequest, Invalid, TooLarge.
    """
    config, context = _accept_settings(doc.config, doc.context)
    if context:
        config["configurable"] = context
    return _within_limit(
        msgspec.structs.replace(
            doc,
            name=doc.name or "Untitled",
            metadata=accept_metadata(doc.metadata),
            config=config,
            context=context or config.get("configurable", {}),
        )
    )


def change_doc(doc: AssistantDoc, changes: AssistantChanges) -> AssistantDoc:
    """The next version. Raises BadRequest, Invalid, TooLarge.

    An empty config leaves the old one, any other replaces it. Config and context stay in step as clients know it: a
    configurable is the new context too, and a context the whole new config, unless one is sent beside it.
    """
    sent = {} if changes.config is UNSET else changes.config
    config, context = _accept_settings(sent, {} if changes.context is UNSET else changes.context)
    new_config, new_context = config or doc.config, doc.context
    if changes.context is not UNSET:
        new_context = context
    if context:
        new_config = {**config, "configurable": context}
    elif "configurable" in config:
        new_context = config["configurable"]
    others = {
        name: value
        for name in ("graph_id", "name", "description")
        if (value := getattr(changes, name)) is not UNSET
    }  # fmt: skip
    metadata = {} if changes.metadata is UNSET else changes.metadata
    merged = accept_metadata({**doc.metadata, **metadata})
    return _within_limit(
        msgspec.structs.replace(doc, **others, metadata=merged, config=new_config, context=new_context)
    )


def choice_fields(doc: AssistantDoc) -> dict[str, str | int]:
    """What a version chooses for its runs, in fields of their own: scripts do not read documents."""
    choice = stored_choice(doc.config.get("configurable"))
    return {"queue": choice.queue, "priority": choice.priority}


def _within_limit(doc: AssistantDoc) -> AssistantDoc:
    size = len(msgspec.json.encode(doc))
    if size > MAX_BYTES:
        raise TooLarge(f"The assistant has {size} bytes as JSON (limit: {MAX_BYTES})")
    return doc


def check_settings(config: dict[str, Any], context: dict[str, Any]) -> None:
    """Raises Invalid for a config whose known parts have other types, and for keys that cannot be stored."""
    try:
        msgspec.convert(config, RunConfig)  # the types of the parts we know; others are kept as they are
    except msgspec.ValidationError as error:
        raise Invalid(f"config: {error}") from None
    refuse_in_keys(config, config.get("configurable", {}), context)


def _accept_settings(config: dict[str, Any], context: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copies of both without what a client may not set. Raises BadRequest if both configure."""
    check_settings(config, context)
    configurable = without(config.get("configurable", {}), RESERVED_CONFIGURABLE)
    context = without(context, RESERVED_CONFIGURABLE)
    if configurable and context:
        raise BadRequest("Cannot specify both configurable and context. Use context.")
    config = {**config, **({"configurable": configurable} if "configurable" in config else {})}
    if isinstance(config.get("metadata"), dict):
        config["metadata"] = accept_metadata(config["metadata"])
    return config, dict(context)
