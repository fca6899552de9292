"""What a client may send to create or change a cron, and what of it is kept."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.config.settings import Settings
from lineshaft.errors import Invalid, TooLarge
from lineshaft.metadata import accept_metadata
from lineshaft.nul import refuse_in_keys
from lineshaft.queues.choice import accept_choice
from lineshaft.redis.slices import INLINE_BYTES
from lineshaft.runs.request import (
    RESERVED_CONFIGURABLE,
    Durability,
    Multitask,
    NodeNames,
    RunConfig,
    RunCreate,
    StreamMode,
    accept,
    without,
)

OnRunCompleted = Literal["delete", "keep"]
# What a cron sends to its runs goes with each firing in one piece, and with each search that shows it.
MAX_PAYLOAD = INLINE_BYTES
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ScheduleText = Annotated[
    str, Meta(description="Five fields, six with the seconds last, or a name.", examples=["0 9 * * MON-FRI", "@daily"])
]
_Timezone = Annotated[str, Meta(description="IANA name; by default UTC.", examples=["Europe/Berlin"])]
_EndTime = Annotated[str, Meta(description="ISO 8601; it does not fire after that.", examples=["2099-12-31T00:00:00Z"])]
_WhenDone = Annotated[
    OnRunCompleted, Meta(description="What becomes of the thread that each run gets; on a thread it has no effect.")
]


class CronCreate(RunCreate, kw_only=True):
    """A schedule, and the run that it starts each time: the other fields are a run's."""

    schedule: _ScheduleText
    timezone: _Timezone | UnsetType = UNSET
    end_time: _EndTime | UnsetType = UNSET
    on_run_completed: _WhenDone = "delete"
    enabled: bool = True


class CronPatch(Struct, kw_only=True):
    """What to change of a cron. What is left out stays."""

    schedule: _ScheduleText | UnsetType = UNSET
    timezone: _Timezone | UnsetType = UNSET
    end_time: _EndTime | UnsetType | None = UNSET
    on_run_completed: _WhenDone | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    input: Annotated[Raw, Meta(description="Input of the graph.")] | UnsetType = UNSET
    config: RunConfig | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    metadata: Annotated[dict[str, Any], Meta(description="Merged over the cron's, key by key.")] | UnsetType = UNSET
    webhook: str | UnsetType = UNSET
    interrupt_before: NodeNames | UnsetType = UNSET
    interrupt_after: NodeNames | UnsetType = UNSET
    multitask_strategy: Multitask | UnsetType = UNSET
    stream_mode: StreamMode | list[StreamMode] | UnsetType = UNSET
    stream_subgraphs: bool | UnsetType = UNSET
    stream_resumable: bool | UnsetType = UNSET
    durability: Durability | UnsetType = UNSET


def payload_of(
    document: dict[str, Any], cron_id: str, assistant_id: str, *, stateless: bool, settings: Settings
) -> bytes:
    """The JSON that is kept, of the whole request. Raises Invalid, BadRequest if no run can be made of it; TooLarge."""
    kept = {**document, "assistant_id": assistant_id}
    encoded = msgspec.json.encode(kept)
    try:
        request = msgspec.json.decode(encoded, type=RunCreate)
    except msgspec.ValidationError as error:
        raise Invalid(f"Request body: {error}") from None
    webhooks = settings.langgraph_webhooks
    spec, _ = accept(request, stateless=stateless, request_id="", requested_ms=0, webhooks=webhooks, cron_id=cron_id)
    accept_choice({**(spec.config.configurable or {}), **spec.context}, settings.lineshaft_executor)
    if "metadata" in kept:
        kept["metadata"] = accept_metadata(kept["metadata"])
    if "context" in kept:
        kept["context"] = without(kept["context"], RESERVED_CONFIGURABLE)
    config = kept["config"] = dict(kept.get("config", {}))
    refuse_in_keys(config)
    if "metadata" in config:
        config["metadata"] = accept_metadata(config["metadata"])
    config["configurable"] = {**without(config.get("configurable", {}), RESERVED_CONFIGURABLE), "cron_id": cron_id}
    encoded = msgspec.json.encode(kept)
    if len(encoded) > MAX_PAYLOAD:
        raise TooLarge(f"The cron is {len(encoded)} bytes of JSON (limit: {MAX_PAYLOAD})")
    return encoded


def end_of(text: str | UnsetType | None) -> int | None:
    """An end time in milliseconds since the epoch; one without a time zone is in UTC. Raises Invalid."""
    if text is UNSET or text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        end = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
        _ = _EPOCH + end  # in UTC it may lie beyond what can be shown
    except (ValueError, OverflowError):
        raise Invalid(f"Invalid end_time {text[:80]!r}: use ISO 8601, like 2099-12-31T00:00:00Z") from None
    return end // timedelta(milliseconds=1)
