"""Threads with their metadata, lifetime and states."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lineshaft.errors import LineshaftError, NotFound, Refused

from .history import State, Superstep, branch_of, newest, supersteps
from .report import Report
from .server import Server

_AT_ONCE = 8  # threads: a server with one worker applies four supersteps requests at a time


def move_threads(source: Server, target: Server, report: Report, *, dry: bool, asks: bool) -> None:
    """Take all that are not there; with `asks` those that wait for an answer come to their question again."""

    def move(thread: dict[str, Any]) -> None:
        try:
            Move(source, target, thread, report, asks=asks).run(dry=dry)
        except (NotFound, Refused) as error:
            report.miss(str(error), f"thread {thread['thread_id']}")

    rows = source.pages("/threads/search", {"sort_by": "created_at", "sort_order": "asc"})
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting: list[Any] = []
        for thread in rows:
            waiting.append(pool.submit(move, thread))
            if len(waiting) >= 4 * _AT_ONCE:  # few rows in memory: each has all values of its thread
                waiting.pop(0).result()
        for moving in waiting:
            moving.result()


class Move:
    """One thread's."""

    def __init__(self, source: Server, target: Server, thread: dict[str, Any], report: Report, *, asks: bool) -> None:
        self._asks = asks
        self._source = source
        self._target = target
        self._thread = thread
        self._id: str = thread["thread_id"]
        self._place = f"/threads/{self._id}"
        self._report = report

    def run(self, *, dry: bool) -> None:
        """Raises NotFound and Refused."""
        if there := self._target.find(self._place):
            if not self._is_remainder(there):
                self._report.find("threads")
                return
            if not dry:
                self._target.ask("DELETE", self._place)
        if not dry:
            self._make()
        self._report.take("threads")

    def _is_remainder(self, there: dict[str, Any]) -> bool:
        """Whether an earlier attempt has made the thread and was ended before its states."""
        has_nothing = there.get("values") is None and there["status"] == "idle"
        return has_nothing and bool(self._thread.get("values")) and there["metadata"].items() <= self._metadata.items()

    @property
    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self._thread.get("metadata") or {}
        return metadata

    def _make(self) -> None:
        if self._thread.get("status") == "busy":
            self._miss("a run was under way: its end is not taken, nor what it does after this")
        states = self._states()
        metadata = self._metadata
        if states and "graph_id" not in metadata:
            graph_id = (states[0].get("metadata") or {}).get("graph_id")
            metadata = {**metadata, "graph_id": graph_id} if graph_id else metadata
        body: dict[str, Any] = {"thread_id": self._id, "metadata": metadata}
        if ttl := (self._source.find(self._place, include="ttl") or {}).get("ttl"):
            body["ttl"] = {"strategy": ttl["strategy"], "ttl": ttl["ttl_minutes"]}
        if not states:
            self._target.ask("POST", "/threads", body)
            return
        branch = branch_of(states)
        if self._apply(body, supersteps(branch), states[0]):
            if left := len(states) - len(branch):
                self._miss(f"{left} states of branches that were left are not taken")
        elif any(self._apply(body, steps, states[0]) for steps in newest(states)):
            self._miss("only its newest state is taken: its history cannot be made again")
        else:
            self._target.ask("POST", "/threads", {**body, "if_exists": "do_nothing"})
            self._miss("it is empty: its graph does not come to its state")
            return
        if self._thread.get("status") == "error":
            self._miss("its last run had failed: it is shown as interrupted before the node that failed")
        if any(task.get("interrupts") for task in states[0]["tasks"]):
            self._ask_again(states[0])

    def _ask_again(self, head: State) -> None:
        """A question is part of a run, and no state can have it: the node has to come to it again."""
        if not self._asks:
            self._miss("it waits for an answer, and its question is asked by its next run (--ask-again does it now)")
            return
        told = head.get("metadata") or {}
        body = {"assistant_id": told.get("assistant_id") or told["graph_id"], "input": None}
        self._target.ask("POST", f"{self._place}/runs/wait", body)
        if not self._target.ask("GET", self._place).get("interrupts"):
            self._miss("it waited for an answer, and went on by itself when it was asked again")

    def _states(self) -> list[State]:
        try:
            return list(self._source.states(self._id))
        except (NotFound, Refused) as error:
            if self._thread.get("values"):
                self._miss(f"its states cannot be read: {error}")
            return []

    def _apply(self, body: dict[str, Any], steps: list[Superstep] | None, head: State) -> bool:
        """Make the thread by these supersteps; whether it has come to this state. If not, there is no thread."""
        if steps is None:
            return False
        try:
            self._target.ask("POST", "/threads", {**body, "supersteps": steps})
            made = self._target.ask("GET", f"{self._place}/state")
        except LineshaftError:
            if self._target.find(self._place):
                self._target.ask("DELETE", self._place)
            return False
        if made["values"] == head["values"] and sorted(made["next"]) == sorted(head["next"]):
            return True
        self._target.ask("DELETE", self._place)
        return False

    def _miss(self, why: str) -> None:
        self._report.miss(why, f"thread {self._id}")
