"""An event of protocol v2, as it goes over the wire."""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from lineshaft.events.log import GAP

_encode = msgspec.json.encode


class Params(Struct, omit_defaults=True):
    """Where and when something happened, and what."""

    namespace: list[str]  # of the subgraph, root first: `<node>:<task id>` each; empty for the root
    timestamp: int  # ms
    data: Raw
    node: str | UnsetType = UNSET


class Event(Struct, tag_field="type", tag="event"):
    """One event. `event_id` is the same whenever it is told; `seq` rises over all channels and runs of the thread."""

    event_id: str
    seq: int
    method: str
    params: Params

    @property
    def channel(self) -> str:
        """The channel it is sent on. One of `custom` is sent on `custom:<name>` too, see `custom_name`."""
        return "input" if self.method == "input.requested" else self.method

    @property
    def custom_name(self) -> str | None:
        """The name in the data of a custom event: of a channel that a stream transformer of the graph has made."""
        try:
            return msgspec.json.decode(self.params.data, type=_Named).name
        except msgspec.ValidationError:  # a graph's own value of another shape
            return None

    @property
    def is_gap(self) -> bool:
        """Whether it stands for events that are lost: every subscription is told."""
        return self.method == GAP

    def encoded(self) -> bytes:
        """Compact JSON on one line."""
        return _encode(self)


class _Named(Struct):
    name: str | None = None
