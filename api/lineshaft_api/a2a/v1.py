"""Version 1.0's shape of what `task.py` has in 0.3's: no `kind`, other names of states and roles, wrapped events."""

from typing import Any

import msgspec

from .ending import State
from .task import Artifact, ArtifactUpdate, Data, Event, Message, Status, StatusUpdate, Task, Text


def event(shown: Event) -> dict[str, Any]:
    """A task or an update, in the wrapper that says which."""
    if isinstance(shown, Task):
        return {"task": task(shown)}
    of = {"taskId": shown.task_id, "contextId": shown.context_id}
    if isinstance(shown, StatusUpdate):
        return {"statusUpdate": {**of, "status": _status(shown.status)}}
    return {"artifactUpdate": _artifact_update(of, shown)}


def task(shown: Task) -> dict[str, Any]:
    """A task by itself."""
    found = {
        "id": shown.id,
        "contextId": shown.context_id,
        "status": _status(shown.status),
        "history": [_message(message) for message in shown.history],
    }
    if isinstance(shown.artifacts, list):
        found["artifacts"] = [_artifact(artifact) for artifact in shown.artifacts]
    return found


def state(name: State) -> str:
    """`TASK_STATE_INPUT_REQUIRED` of `input-required`."""
    return "TASK_STATE_" + name.upper().replace("-", "_")


def _artifact_update(of: dict[str, Any], shown: ArtifactUpdate) -> dict[str, Any]:
    return {**of, "artifact": _artifact(shown.artifact), "append": shown.append, "lastChunk": shown.last_chunk}


def _status(shown: Status) -> dict[str, Any]:
    found: dict[str, Any] = {"state": state(shown.state), "timestamp": shown.timestamp}
    if isinstance(shown.message, Message):
        found["message"] = _message(shown.message)
    return found


def _message(shown: Message) -> dict[str, Any]:
    found = {
        "role": f"ROLE_{shown.role.upper()}",
        "parts": [_part(part) for part in shown.parts],
        "messageId": shown.message_id,
        "contextId": shown.context_id,
    }
    if shown.task_id is not msgspec.UNSET:
        found["taskId"] = shown.task_id
    return found


def _artifact(shown: Artifact) -> dict[str, Any]:
    return {
        "artifactId": shown.artifact_id,
        "name": shown.name,
        "description": shown.description,
        "parts": [_part(part) for part in shown.parts],
    }


def _part(shown: Text | Data) -> dict[str, Any]:
    return {"text": shown.text} if isinstance(shown, Text) else {"data": shown.data}
