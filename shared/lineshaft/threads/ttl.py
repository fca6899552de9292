"""The lifetime of a thread: as clients set it, as it is stored, and as it is shown."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from lineshaft.clock import iso

Strategy = Literal["delete", "keep_latest"]


class Ttl(Struct, kw_only=True):
    """How long a thread is kept after its last change, and what is done then."""

    # A hundred years at most: its end must be a date.
    ttl: Annotated[float, Meta(ge=-52_560_000, le=52_560_000, description="In minutes.")]
    strategy: Strategy = "delete"


class DefaultTtl(Struct, frozen=True, kw_only=True):
    """The lifetime of new threads for which nobody asks for one: `checkpointer.ttl` of langgraph.json.

    `sweep_interval_minutes` and `sweep_limit` of the official server have no effect: the reconciler looks all the time.
    """

    strategy: Strategy = "delete"
    default_ttl: Annotated[float, Meta(gt=0, le=52_560_000)] | None = None  # minutes; None: threads stay

    @property
    def ttl(self) -> Ttl | None:
        """As a client would ask for it."""
        return None if self.default_ttl is None else Ttl(ttl=self.default_ttl, strategy=self.strategy)


class CheckpointerConfig(Struct, frozen=True, kw_only=True):
    """The section `checkpointer` of langgraph.json."""

    ttl: DefaultTtl = DefaultTtl()


class ThreadTtl(Struct, kw_only=True):
    """The same of a thread as it stands."""

    strategy: Strategy
    ttl_minutes: float
    expires_at: str  # if nothing changes until then


def ttl_arguments(ttl: Ttl | None) -> dict[str, Any]:
    """The arguments of scripts that set a lifetime; empty ones set none."""
    return {"ttl_minutes": ttl.ttl if ttl else "", "ttl_strategy": ttl.strategy if ttl else ""}


def stored_ttl(minutes: bytes | None, strategy: bytes | None) -> Ttl | None:
    """The lifetime that a thread's hash holds."""
    if minutes is None or strategy is None:
        return None
    return msgspec.convert({"ttl": float(minutes), "strategy": strategy.decode()}, Ttl)


def shown_ttl(ttl: Ttl, updated: int) -> ThreadTtl:
    """What is shown of it, for a thread that changed last at `updated` (ms); its end is thread_expire.lua's."""
    expires_at = iso(updated + int(ttl.ttl * 60_000))
    return ThreadTtl(strategy=ttl.strategy, ttl_minutes=ttl.ttl, expires_at=expires_at)
