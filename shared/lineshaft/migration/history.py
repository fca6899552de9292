"""The states of a thread, as supersteps that make them again.

A history says of each step which nodes it had and what they returned. Written again in that order, with the graph's own
reducers and edges, the thread comes to the same states. Where that is not known, or comes to something else, there is
the newest state alone.
"""

from collections.abc import Iterator
from typing import Any

State = dict[str, Any]
Superstep = dict[str, Any]

MOST = 1_000  # supersteps that the target takes with one thread
_MOST_WRITERS = 10  # nodes that are tried; each is a request or two
_START, _INPUT, _END = "__start__", "__input__", "__end__"


def branch_of(states: list[State]) -> list[State]:
    """Of a history, newest first, what led to its head, oldest first: without the branches that were left."""
    by_id = {state["checkpoint"]["checkpoint_id"]: state for state in states}
    branch: list[State] = []
    state: State | None = states[0] if states else None
    while state is not None:
        parent = _parent(state, by_id)
        if parent and _source(state) == "fork" and parent["values"] == state["values"]:
            # The same state once more, where another branch begins; what its nodes returned is this branch's.
            state = {**parent, "next": state["next"], "tasks": state["tasks"]}
            parent = _parent(state, by_id)
        branch.append(state)
        state = parent
    return branch[::-1]


def _parent(state: State, by_id: dict[str, State]) -> State | None:
    return by_id.get((state.get("parent_checkpoint") or {}).get("checkpoint_id", ""))


def _source(state: State) -> str:
    source: str = (state.get("metadata") or {}).get("source", "")
    return source


def supersteps(branch: list[State]) -> list[Superstep] | None:
    """Those that make the states of a branch; None if it does not say how it came about."""
    steps: list[Superstep] = []
    befores: list[State | None] = [None, *branch]
    for before, state, after in zip(befores, branch, [*branch[1:], *branch[-1:]], strict=False):
        updates = _updates(before, state, after)
        if not updates:
            return None
        steps.append({"updates": updates})
    return steps if 0 < len(steps) <= MOST else None


def _updates(before: State | None, state: State, after: State) -> list[dict[str, Any]]:
    if _source(state) == "input":
        return [
            {"values": _with_ids(task["result"], state, after), "as_node": _INPUT}
            for task in state["tasks"]
            if task["name"] == _START
        ]
    if before is None or all(task.get("result") is None for task in before["tasks"]):
        return []  # an update by hand, of which no history tells the node
    return [
        {"values": _with_ids(task.get("result"), before, state), "as_node": task["name"]} for task in before["tasks"]
    ]


def _with_ids(result: Any, before: State, after: State) -> Any:
    """What a node returned, with the ids that its messages got when they became part of the state."""
    if not isinstance(result, dict):
        return result
    return {
        key: _messages_with_ids(value, before["values"].get(key), after["values"].get(key))
        for key, value in result.items()
    }


def _messages_with_ids(value: Any, before: Any, after: Any) -> Any:
    if not isinstance(after, list) or not isinstance(value, list):
        return value
    known = {message.get("id") for message in before or () if isinstance(message, dict)}
    new = [message for message in after if isinstance(message, dict) and message.get("id") not in known]
    found: list[Any] = []
    for each in value:
        if isinstance(each, dict) and "content" in each and not each.get("id"):
            same = next((message for message in new if message.get("content") == each["content"]), None)
            if same is not None:
                new.remove(same)
                found.append(same)
                continue
        found.append(each)
    return found


def newest(states: list[State]) -> Iterator[list[Superstep]]:
    """Ways to make the newest state alone, of which one may come to it: who could have written it is not known."""
    head = states[0]
    names = [task["name"] for state in [*states[1:], head] for task in state["tasks"] if task["name"] != _START]
    writers = list(dict.fromkeys(names))[:_MOST_WRITERS]
    if not head["next"]:
        # Where the writer's edges lead is overruled, so any will do.
        over: Superstep = {"updates": [{"values": None, "as_node": _END}]}
        yield from ([{"updates": [{"values": head["values"], "as_node": writer}]}, over] for writer in writers[:1])
        return
    for writer in writers:
        yield [{"updates": [{"values": head["values"], "as_node": writer}]}]
    command = {"update": head["values"], "goto": head["next"]}  # behind a node that chooses by a command where to go on
    for writer in writers:
        yield [{"updates": [{"command": command, "as_node": writer}]}]
