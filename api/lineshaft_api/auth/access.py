"""What an operation does to what, for the authorization of its callers: derived from its path, or declared.

The objects that a path names are looked at before the handler runs (`guard.py`). Operations that name them elsewhere,
or make runs, or speak a protocol of their own, declare `ITSELF`: their handlers ask.
"""

from typing import Literal, NamedTuple

Resource = Literal["assistants", "threads", "crons"]
Action = Literal["create", "read", "update", "delete", "search", "copy", "prune"]


class Access(NamedTuple):
    """A resource, and what is done to it."""

    resource: Resource
    action: Action


ITSELF: Literal["itself"] = "itself"

_COLLECTIONS: dict[str, Resource] = {"/assistants": "assistants", "/threads": "threads", "/runs/crons": "crons"}
_OBJECTS: tuple[tuple[str, Resource], ...] = (
    ("{cron_id}", "crons"),
    ("{thread_id}", "threads"),
    ("{run_id}", "threads"),  # a run is its thread's
    ("{assistant_id}", "assistants"),
)


def derive(method: str, path: str, *, reads: bool) -> Access:
    """What an operation on this path does. Raises TypeError if that does not follow from it: then declare it."""
    head, _, last = path.rpartition("/")
    if last in ("search", "count") and head in _COLLECTIONS:
        return Access(_COLLECTIONS[head], "search")
    if path in _COLLECTIONS and method in ("GET", "POST"):
        return Access(_COLLECTIONS[path], "search" if method == "GET" else "create")
    if path == "/threads/prune":
        return Access("threads", "prune")
    if path == "/threads/{thread_id}/copy":
        return Access("threads", "copy")
    for name, resource in _OBJECTS:
        if name in path:
            action: Action = "read" if reads else "delete" if method == "DELETE" else "update"
            return Access(resource, action)
    raise TypeError(f"{method} {path}: say what it does to what, by access=Access(...), or ITSELF if its handler asks")
