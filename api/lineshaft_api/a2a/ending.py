"""What a task has come to: taken from its run's events, or later from what its thread keeps."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from lineshaft.threads.thread import Thread
from lineshaft_api.outcome import Outcome

State = Literal["submitted", "working", "input-required", "completed", "failed", "canceled"]
Role = Literal["user", "agent"]
_ROLES: dict[str, Role] = {"human": "user", "user": "user", "ai": "agent", "assistant": "agent"}
_STATES: dict[str, State] = {
    "pending": "submitted", "running": "working", "success": "completed", "error": "failed", "timeout": "failed",
    "interrupted": "canceled",
}  # fmt: skip
TERMINAL = ("completed", "failed", "canceled")


class Said(Struct):
    """A message of a graph's state, in words."""

    role: Role
    text: str
    message_id: str


class Ending(Struct):
    """How a task does, with the values of its graph."""

    state: State
    values: Any = None
    interrupts: list[dict[str, Any]] = []
    error: str = ""  # the exception's class
    reason: str = ""  # and its text

    @property
    def is_at_breakpoint(self) -> bool:
        """Whether it waits for no answer, only to be told to go on."""
        return self.state == "input-required" and not self.interrupts

    def word(self) -> str:
        """What there is to say of its status."""
        if self.state == "failed":
            return f"Error executing assistant: {self.error}"
        return "Paused at a breakpoint: send a message with this taskId to go on" if self.is_at_breakpoint else ""

    def said(self) -> list[Said]:
        """What both sides have said; what tools and instructions say is the agent's own affair."""
        messages = self.values.get("messages") if isinstance(self.values, dict) else None
        return said(messages)

    def answer(self) -> str:
        """The agent's last word, or all values where it has none."""
        messages = self.values.get("messages") if isinstance(self.values, dict) else None
        if isinstance(messages, list) and messages:
            last = said(messages[-1:])
            if last and last[0].role == "agent":
                return last[0].text
        return msgspec.json.format(msgspec.json.encode(self.values), indent=0).decode()


class _Error(Struct):
    error: str = ""
    message: str = ""


def of_outcome(outcome: Outcome) -> Ending | None:
    """How the task ended whose run was watched to its end; None if its events do not tell."""
    state = _STATES.get(outcome.status)
    if state is None or outcome.values is None:
        return None
    values: Any = msgspec.json.decode(outcome.values)
    if isinstance(values, dict):
        values.pop("__interrupt__", None)
    interrupts = [msgspec.json.decode(interrupt) for interrupt in outcome.interrupts]
    if state == "completed" and interrupts:
        return Ending("input-required", values, interrupts)
    return _with_error(Ending(state, values), outcome.status, outcome.error)


def state_of(status: str, thread_status: str, *, newest: bool) -> State:
    """How a task does by the status of its last run, and by that of the thread if that is its newest run."""
    is_paused = newest and status == "success" and thread_status == "interrupted"
    return "input-required" if is_paused else _STATES[status]


def of_thread(status: str, thread: Thread, *, newest: bool) -> Ending:
    """How a task does by its last run's status, and by what the thread keeps if that is its newest run."""
    state, values = state_of(status, thread.status, newest=newest), msgspec.json.decode(thread.values)
    interrupts: list[dict[str, Any]] = []
    if state == "input-required" and isinstance(thread.interrupts, Raw):
        by_task = msgspec.json.decode(thread.interrupts, type=dict[str, list[dict[str, Any]]])
        interrupts = [interrupt for waiting in by_task.values() for interrupt in waiting]
    error = bytes(thread.error) if newest and isinstance(thread.error, Raw) else None
    return _with_error(Ending(state, values if values is not None else {}, interrupts), status, error)


def _with_error(ending: Ending, status: str, error: bytes | None) -> Ending:
    if status == "timeout":
        ending.error, ending.reason = "TimeoutError", "the run took longer than this server allows"
    elif status == "error":
        known = msgspec.json.decode(error, type=_Error | None) if error else None
        ending.error, ending.reason = (known.error, known.message) if known else ("Error", "")
    return ending


def said(messages: Any) -> list[Said]:
    """The messages among these that one of the two sides says in words."""
    found: list[Said] = []
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            role = _ROLES.get(message.get("type") or message.get("role") or "")
            if role and (words := text_of(message.get("content"))):
                found.append(Said(role, words, str(message.get("id") or "")))
    return found


def text_of(content: Any) -> str:
    """The words of a message's content: itself, or its parts that are text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part if isinstance(part, str) else str(part.get("text") or "")
        for part in parts
        if isinstance(part, str) or (isinstance(part, dict) and part.get("type") == "text")
    )
