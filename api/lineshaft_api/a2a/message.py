"""Messages from other agents, in the shape of either version, and what they mean for a run."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from lineshaft.assistants.graphs import GraphDescriptor
from lineshaft.errors import Invalid

from .task import Data, Message, Ref, Text

HistoryLength = Annotated[int, Meta(ge=0)]  # how many of the last messages to show
_AGENT = ("agent", "ROLE_AGENT")


class SentPart(Struct):
    """A piece of a message: a text, or data. 0.3 says which in `kind`, 1.0 by the field."""

    text: str | UnsetType = UNSET
    data: Any | UnsetType = UNSET


class SentMessage(Struct, rename="camel"):
    """What another agent says."""

    parts: list[SentPart]
    message_id: str
    role: str = "user"
    context_id: str | None = None
    task_id: str | None = None

    @property
    def text(self) -> str:
        """All that it says in words."""
        return "\n".join(part.text for part in self.parts if isinstance(part.text, str))

    def data(self) -> dict[str, Any]:
        """All its data. Raises Invalid."""
        merged: dict[str, Any] = {}
        for n, part in enumerate(self.parts):
            if part.text is UNSET and part.data is UNSET:
                raise Invalid(f"params.message.parts[{n}]: only text and data are understood")
            if part.data is not UNSET:
                if not isinstance(part.data, dict):
                    raise Invalid(f"params.message.parts[{n}].data: must be an object, it becomes the graph's input")
                merged |= part.data
        if not self.parts:
            raise Invalid("params.message.parts: it says nothing")
        return merged

    def graph_input(self, graph: GraphDescriptor | None) -> Raw:
        """The run's input that it is. Raises Invalid."""
        data = self.data()
        if self.text:
            _must_take_messages(graph)
            said = {"role": "assistant" if self.role in _AGENT else "user", "content": self.text, "id": self.message_id}
            given = data.get("messages", [])
            data["messages"] = [*(given if isinstance(given, list) else [given]), said]
        return Raw(msgspec.json.encode(data))

    def command(self, graph: GraphDescriptor | None) -> dict[str, Any]:
        """The command by which it answers the question that a task waits with. Raises Invalid."""
        data = self.data()
        if data.keys() == {"resume"}:
            return data
        if data.keys() == {"command"} and isinstance(data["command"], dict):
            return dict(data["command"])
        if data or not self.text:
            raise Invalid('params.message: the task waits for an answer: a text, or data of the form {"resume": value}')
        _must_take_messages(graph)
        return {"resume": self.text}

    def go_ahead(self) -> dict[str, Any] | None:
        """What it says to a task that is paused at a breakpoint: a command, or only to go on. Raises Invalid."""
        data = self.data()
        return dict(data["command"]) if data.keys() == {"command"} and isinstance(data["command"], dict) else None

    def shown(self, ref: Ref) -> Message:
        """The message in a task's history."""
        parts: list[Text | Data] = [
            Text(part.text) if isinstance(part.text, str) else Data(part.data) for part in self.parts
        ]
        return Message("agent" if self.role in _AGENT else "user", parts, self.message_id, ref.context_id, ref.task_id)


class Configuration(Struct, rename="camel"):
    """How to send. 0.3 says `blocking: false` where 1.0 says `returnImmediately: true`."""

    blocking: bool | None = None
    return_immediately: bool = False
    history_length: HistoryLength | None = None

    @property
    def waits(self) -> bool:
        """Whether the answer is the task at its end."""
        return self.blocking is not False and not self.return_immediately


class Send(Struct):
    """The params of sending a message."""

    message: SentMessage
    configuration: Configuration = msgspec.field(default_factory=Configuration)


def takes_messages(graph: GraphDescriptor | None) -> bool:
    """Whether a graph's input has a field for messages."""
    if graph is None:
        return False
    schema = msgspec.json.decode(graph.input_schema)
    return "messages" in schema.get("properties", {}) if isinstance(schema, dict) else graph.has_messages


def _must_take_messages(graph: GraphDescriptor | None) -> None:
    if not takes_messages(graph):
        raise Invalid("This agent takes no text, as the input of its graph has no field `messages`: send a data part")
