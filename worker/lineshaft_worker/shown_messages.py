"""Messages as answers show them, made into messages again.

LangChain takes such an object for one that a person has written: what it does not know there, as the usage of tokens,
ends in `additional_kwargs`. A state that was read from a server and is written to one is to be what it was.
"""

from typing import Any

from langchain_core.messages import messages_from_dict

_SHOWN = frozenset({"type", "content", "additional_kwargs", "response_metadata"})


def restored(value: Any) -> Any:
    """The value, with a message in the place of each object that has all fields of one that was shown."""
    if isinstance(value, list):
        return [restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() >= _SHOWN:
        try:
            [message] = messages_from_dict([{"type": value["type"], "data": value}])
        except ValueError:  # of another kind, or it only looks like one; Pydantic's errors are of this type too
            return value
        return message
    return {key: restored(each) for key, each in value.items()}
