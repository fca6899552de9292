"""The graphs of a run: the root, and the subgraphs below it, with how far each has come."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .event import Event

_ENDED = ("completed", "failed", "interrupted")


class Node(Struct, omit_defaults=True):
    """One graph, as clients see it."""

    namespace: list[str]
    status: str
    graph_name: str
    children: "list[Node] | UnsetType" = UNSET


class _Lifecycle(Struct):
    event: str
    graph_name: str = ""


class Tree:
    """What the lifecycle events of one run tell."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, ...], Node] = {}

    def add(self, event: Event) -> None:
        """Look at the next event of any channel."""
        if event.method != "lifecycle":
            return
        namespace, told = tuple(event.params.namespace), msgspec.json.decode(event.params.data, type=_Lifecycle)
        if namespace in self._nodes:
            self._nodes[namespace].status = told.event
        else:
            node = self._nodes[namespace] = Node([*namespace], told.event, told.graph_name)
            above = self._nodes.get(namespace[:-1]) if namespace else None
            if above is not None:
                above.children = [*(above.children or []), node]
        if not namespace and told.event in _ENDED:
            # A run that fails or is cancelled leaves its subgraphs no time to tell that they have ended.
            for node in self._nodes.values():
                node.status = node.status if node.status in _ENDED else told.event

    def root(self) -> Any:
        """The root node; None before anything was told of it."""
        return self._nodes.get(())
