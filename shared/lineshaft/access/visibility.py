"""What a caller may see: conditions on the metadata of threads, assistants and crons that the server itself sets."""

from collections.abc import Iterable
from typing import Any, Protocol

from lineshaft.errors import ConfigError
from lineshaft.search import Restricted, equal

_MAX_NESTED = 2  # levels of $or and $and, as on the official server


class Visible(Protocol):
    """A condition on metadata."""

    exact: dict[str, Any]  # scalars that the metadata of all that is seen has: these an index can find
    is_exact: bool  # whether that is all of the condition

    def sees(self, metadata: dict[str, Any]) -> bool:
        """Whether an object with this metadata is there for the caller."""


class Condition:
    """The filter that an authorization handler returned.

    `{"k": v}` and `{"k": {"$eq": v}}` want equality, `{"k": {"$contains": v}}` a list with v (or with all of a list),
    and several keys all of it; `$or` and `$and` have lists of such filters. What is malformed raises ConfigError as
    soon as it is compared with something: a typing error must not open what it should close.
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._wanted = wanted
        self.exact = {
            name: value
            for name, value in wanted.items()
            if not name.startswith("$") and not isinstance(value, dict | list)
        }
        self.is_exact = len(self.exact) == len(wanted)

    def sees(self, metadata: dict[str, Any]) -> bool:
        """Raises ConfigError."""
        return _sees(self._wanted, metadata, _MAX_NESTED)


class GraphLimit:
    """Only what belongs to some graphs; a thread that no run has touched yet belongs to none, and is seen."""

    def __init__(self, graphs: Iterable[str]) -> None:
        self._graphs = frozenset(graphs)
        self.exact: dict[str, Any] = {}
        self.is_exact = False

    def sees(self, metadata: dict[str, Any]) -> bool:
        """Its metadata, and `graph_id`."""
        graph_id = metadata.get("graph_id")
        return graph_id is None or graph_id in self._graphs


def restrict(wanted: dict[str, Any], visible: Visible | None) -> dict[str, Any]:
    """A client's metadata filter, so that it finds only what is visible."""
    if visible is None:
        return wanted
    if visible.is_exact and all(equal(wanted.get(name, value), value) for name, value in visible.exact.items()):
        return {**wanted, **visible.exact}  # which needs no look at what the index finds
    # Where a client wants another value, nothing has both.
    return Restricted({**visible.exact, **wanted}, visible.sees)


def _sees(wanted: dict[str, Any], metadata: dict[str, Any], levels: int) -> bool:
    # Each is looked at, also where one has failed: a malformed filter is always told.
    results = [_holds(name, value, metadata, levels) for name, value in wanted.items()]
    return all(results)


def _holds(name: str, value: Any, metadata: dict[str, Any], levels: int) -> bool:
    if name in ("$or", "$and"):
        if not isinstance(value, list) or len(value) < 2 or not all(isinstance(part, dict) for part in value):
            raise ConfigError(f"auth: the filter {name} needs a list of at least two filters")
        if not levels:
            raise ConfigError(f"auth: {name} may be nested {_MAX_NESTED} deep")
        results = [_sees(part, metadata, levels - 1) for part in value]
        return any(results) if name == "$or" else all(results)
    if name.startswith("$"):
        raise ConfigError(f"auth: unknown operator {name} in a filter; there are $or, $and, $eq, $contains")
    if not isinstance(value, dict):
        return name in metadata and equal(metadata[name], value)
    if len(value) == 1:
        if "$eq" in value:
            return name in metadata and equal(metadata[name], value["$eq"])
        if "$contains" in value:
            parts = value["$contains"] if isinstance(value["$contains"], list) else [value["$contains"]]
            there = metadata.get(name)
            return isinstance(there, list) and all(any(equal(one, part) for one in there) for part in parts)
    raise ConfigError(f'auth: the filter on {name!r} must be a value, {{"$eq": value}} or {{"$contains": value}}')
