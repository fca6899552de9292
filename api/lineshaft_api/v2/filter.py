"""What of a thread's events a subscription wants."""

from typing import Any

from msgspec import Struct

from lineshaft.errors import Invalid

from .event import Event

CHANNELS = (
    "values", "updates", "messages", "tools", "custom", "lifecycle", "input", "tasks", "checkpoints",
)  # fmt: skip
_NAMED = "custom:"


class Filter(Struct):
    """Channels, and namespaces with how many levels below them. A namespace matches all that begin with it."""

    channels: frozenset[str]
    namespaces: list[list[str]] | None = None
    depth: int | None = None

    def wants(self, event: Event) -> bool:
        """Whether the event is for this subscription."""
        return event.is_gap or (self._wants_channel(event) and self._wants_namespace(event.params.namespace))

    def _wants_channel(self, event: Event) -> bool:
        if event.channel in self.channels:
            return True
        if event.method != "custom" or not any(channel.startswith(_NAMED) for channel in self.channels):
            return False
        return f"{_NAMED}{event.custom_name}" in self.channels

    def _wants_namespace(self, namespace: list[str]) -> bool:
        if not self.namespaces:
            return True
        return any(
            _begins_with(namespace, prefix) and (self.depth is None or len(namespace) - len(prefix) <= self.depth)
            for prefix in self.namespaces
        )


def read_filter(params: Any) -> Filter:
    """The filter that a client describes. Raises Invalid for its channels; the rest counts only if it makes sense."""
    if not isinstance(params, dict):
        raise Invalid("channels: name at least one, in an object")
    channels = params.get("channels")
    if not isinstance(channels, list) or not channels:
        raise Invalid("channels: name at least one in a list")
    for channel in channels:
        if channel not in CHANNELS and not (
            isinstance(channel, str) and channel.startswith(_NAMED) and channel != _NAMED
        ):
            raise Invalid(f"channels: there is no {channel!r}; there are {', '.join(CHANNELS)} and {_NAMED}<name>")
    namespaces, depth = params.get("namespaces"), params.get("depth")
    is_list = isinstance(namespaces, list) and all(map(_is_namespace, namespaces))
    return Filter(frozenset(channels), namespaces if is_list else None, whole_number(depth))


def whole_number(value: Any) -> int | None:
    """The value, if it is an integer from 0 on."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_namespace(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(segment, str) for segment in value)


def _begins_with(namespace: list[str], prefix: list[str]) -> bool:
    """A segment `child` stands for each task of that node, `child:<task id>` for one."""
    return len(prefix) <= len(namespace) and all(
        wanted in (segment, segment.partition(":")[0]) for wanted, segment in zip(prefix, namespace, strict=False)
    )
