"""Tasks, and the pieces that they are made of, in the shape of version 0.3 (`v1.py` turns them into that of 1.0)."""

import uuid
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from lineshaft.errors import Invalid, NotFound
from lineshaft.ids import canonical

from .ending import Ending, State


class Ref(Struct, frozen=True):
    """Which task: the thread that is its context, and the run that began it."""

    context_id: str
    run_id: str

    @property
    def task_id(self) -> str:
        """The id that clients know."""
        return f"{self.context_id}:{self.run_id}"

    @classmethod
    def parse(cls, task_id: str) -> "Ref":
        """Raises NotFound: what is not made like our ids cannot be a task of ours."""
        context_id, _, run_id = task_id.partition(":")
        try:
            return cls(canonical(context_id, "context"), canonical(run_id, "run"))
        except Invalid:
            raise NotFound(f"Task {task_id} not found") from None


class Text(Struct, tag_field="kind", tag="text"):
    """Words."""

    text: str


class Data(Struct, tag_field="kind", tag="data"):
    """A JSON value."""

    data: Any


class Message(Struct, tag_field="kind", tag="message", rename="camel"):
    """What one side has said."""

    role: Literal["user", "agent"]
    parts: list[Text | Data]
    message_id: str
    context_id: str
    task_id: str | UnsetType = UNSET  # of messages of the task itself


class Status(Struct):
    """How a task does."""

    state: State
    message: Message | UnsetType = UNSET
    timestamp: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))


class Artifact(Struct, rename="camel"):
    """What a task has made."""

    artifact_id: str
    name: str
    description: str
    parts: list[Text | Data]


class Task(Struct, tag_field="kind", tag="task", rename="camel"):
    """A run, or several, of which each but the first answers what the one before has asked."""

    id: str
    context_id: str
    status: Status
    history: list[Message]
    artifacts: list[Artifact] | UnsetType = UNSET


class StatusUpdate(Struct, tag_field="kind", tag="status-update", rename="camel"):
    """A task's status, in a stream."""

    task_id: str
    context_id: str
    status: Status
    final: bool


class ArtifactUpdate(Struct, tag_field="kind", tag="artifact-update", rename="camel"):
    """What a task has made, in a stream; always the whole of it."""

    task_id: str
    context_id: str
    artifact: Artifact
    append: bool = False
    last_chunk: bool = True


Event = Task | StatusUpdate | ArtifactUpdate


def status(ref: Ref, state: State, says: str = "", *, message_id: str = "") -> Status:
    """A status, with a word of the agent to it."""
    if not says:
        return Status(state)
    return Status(state, Message("agent", [Text(says)], message_id or str(uuid.uuid4()), ref.context_id, ref.task_id))


def artifact(ref: Ref, assistant_id: str, ending: Ending) -> Artifact | None:
    """What a task has made, or what it asks; None if it has neither. Its id is always the same."""
    parts: list[Text | Data]
    if ending.state == "completed":
        name, description = "Assistant Response", f"Response from assistant {assistant_id}"
        parts = [Text(ending.answer())]
    elif ending.state == "input-required" and ending.interrupts:
        name, description = "Interrupt", f"Assistant {assistant_id} waits for an answer"
        parts = [Data({"id": asked.get("id"), "value": asked.get("value")}) for asked in ending.interrupts]
    else:
        return None
    return Artifact(str(uuid.uuid5(uuid.UUID(ref.run_id), name)), name, description, parts)


def history(ref: Ref, ending: Ending, asked: list[Message], later: set[str], *, only_task: bool) -> list[Message]:
    """What was said in the task's context, as far as the graph keeps messages, and what the task was asked.

    The task's own messages begin with `asked`, and end where `later` ones begin that others have asked.
    """
    own = {message.message_id for message in asked}
    found: list[Message] = []
    ours = seen = False
    for said in ending.said():
        ours = said.message_id in own or (ours and said.message_id not in later)
        seen = seen or ours
        if ours or not only_task:
            message = Message(said.role, [Text(said.text)], said.message_id, ref.context_id)
            if ours:
                message.task_id = ref.task_id
            found.append(message)
    # A text that the graph has not taken up comes last. Data are no message; among messages they have no place.
    is_data = all(isinstance(part, Data) for message in asked for part in message.parts)
    taken = seen or (found and is_data and ending.state in {"completed", "input-required"})
    return found if taken else [*found, *asked]
