"""How the long-term store is set up: the section `store` of langgraph.json."""

from typing import Annotated

from msgspec import Meta, Struct


class TtlConfig(Struct, frozen=True, kw_only=True):
    """How long items live. `sweep_interval_minutes` has no effect: what has expired is invisible at once."""

    default_ttl: Annotated[float, Meta(gt=0)] | None = None  # minutes, of an item that is put without one
    refresh_on_read: bool = True  # whether reading an item starts its time anew, where the reader does not say


class IndexConfig(Struct, frozen=True, kw_only=True):
    """By what items are found by meaning. Only workers can embed: `embed` names the user's code, or a provider."""

    embed: str  # "path.py:attribute", "package.module:attribute" or "provider:model"
    # At most what the largest models give: a page of vectors is scored in one go, and must not take long.
    dims: Annotated[int, Meta(ge=1, le=8192)]
    fields: tuple[str, ...] = ("$",)  # paths of the texts in a value; `$` is all of it, as JSON


class StoreConfig(Struct, frozen=True, kw_only=True):
    """The whole section."""

    ttl: TtlConfig = TtlConfig()
    index: IndexConfig | None = None
