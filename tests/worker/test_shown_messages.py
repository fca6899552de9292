"""Messages that were shown, written back."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, ToolMessage

from lineshaft_worker.encoding import to_json
from lineshaft_worker.shown_messages import restored


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage("hi", id="a", name="ann"),
        AIMessage(
            "x",
            id="b",
            tool_calls=[{"name": "f", "args": {"n": 1}, "id": "c", "type": "tool_call"}],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            response_metadata={"model": "m"},
            additional_kwargs={"own": 1},
        ),
        ToolMessage("r", id="d", tool_call_id="c", status="error"),
        RemoveMessage(id="e"),
    ],
    ids=lambda message: message.type,
)
def test_a_message_is_what_it_was(message: AnyMessage) -> None:
    shown = json.loads(to_json({"messages": [message], "deep": {"er": message}}))
    assert restored(shown) == {"messages": [message], "deep": {"er": message}}


@pytest.mark.parametrize(
    "value",
    [
        {"type": "human", "content": "as a person writes it"},
        {"type": "unheard of", "content": "", "additional_kwargs": {}, "response_metadata": {}},
        {"type": "ai", "content": 7, "additional_kwargs": {}, "response_metadata": {}},
        [1, None, {"a": []}],
        "text",
    ],
)
def test_what_is_none_stays(value: Any) -> None:
    assert restored(value) == value
