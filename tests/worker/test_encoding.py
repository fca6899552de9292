"""Whatever a graph returns becomes JSON on one line; nothing is refused."""

import dataclasses
import datetime as dt
import enum
import json
import math
import sys
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel, field_serializer

from lineshaft_worker.encoding import error_json, interrupt, to_json


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Odd(enum.Enum):
    THING = frozenset({1})


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Pair(NamedTuple):
    left: int
    right: Any


class Model(BaseModel):
    n: int = 1
    when: Any = None


class Picky(BaseModel):
    n: int = 1

    @field_serializer("n")
    def refuse(self, n: int) -> int:
        raise ValueError(n)


class Memo(AIMessage):
    """A user's own message class."""

    @property
    def extra(self) -> int:
        return 1


class Stubborn(AIMessage):
    def model_dump(self, **_: Any) -> Any:
        raise RuntimeError("no")


class WithDict:
    def to_dict(self) -> dict[str, Any]:
        return {"a": Point(1)}


class Array:
    """What numpy's arrays and numbers look like."""

    def tolist(self) -> list[int]:
        return [1, 2]


class Liar:
    """Nothing about it can be asked."""

    def to_dict(self) -> Any:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Wall:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Ratio(float):
    """A subclass, as numpy's float64 is one."""


def decoded(value: Any) -> Any:
    written = to_json(value)
    assert b"\n" not in written
    return json.loads(written)


MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
ID = uuid.UUID("0197a7c1-7f6e-7c7e-8f39-7d4a1f2b3c4d")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        ("line\nbreak \u2028 ü 🙂", "line\nbreak \u2028 ü 🙂"),
        ({"a": [1, 2.5, True]}, {"a": [1, 2.5, True]}),
        (Colour.RED, "red"),
        (Number.ONE, 1),
        (Odd.THING, [1]),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Pair(1, Point(2)), {"left": 1, "right": {"x": 2, "y": None}}),
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset({"a"}), ["a"]),
        (deque([1, 2]), [1, 2]),
        (b"\x00\xff", "AP8="),
        (bytearray(b"a"), "YQ=="),
        (memoryview(b"a"), "YQ=="),
        (MOMENT, "2026-01-02T03:04:05+00:00"),
        (MOMENT.date(), "2026-01-02"),
        (ID, str(ID)),
        (Model(when=MOMENT), {"n": 1, "when": "2026-01-02T03:04:05+00:00"}),
        (Picky(), {"n": 1}),
        (WithDict(), {"a": {"x": 1, "y": None}}),
        (Array(), [1, 2]),
        (Send("node", {"n": 1}), {"node": "node", "input": {"n": 1}}),
        (ValueError("bad"), {"error": "ValueError", "message": "bad"}),
        (Silent(), {"error": "Silent", "message": ""}),
        ({1: "a", None: "b", 1.5: "d"}, {"1": "a", "null": "b", "1.5": "d"}),
        ({ID: 1, MOMENT: 2, Colour.RED: 3}, {str(ID): 1, "2026-01-02T03:04:05+00:00": 2, "red": 3}),
        ({(1, 2): "a", 3: "b"}, {"(1, 2)": "a", "3": "b"}),
        ({2**64 - 1: 1}, {str(2**64 - 1): 1}),
        ([2**64 - 1, -(2**63)], [2**64 - 1, -(2**63)]),
        # A number that a JavaScript client would round anyway, and that many parsers refuse.
        ([2**70, -(2**70)], [str(2**70), str(-(2**70))]),
        (math.nan, None),
        ([math.inf, 2**70], [None, str(2**70)]),
        (Ratio(0.5), 0.5),
        ("half \ud83d", "half ?"),
        ({"half \ud83d": 1}, {"half ?": 1}),
        (Liar(), "<Liar>"),
        ([Liar(), 2**70, {"a": Liar()}], ["<Liar>", str(2**70), {"a": "<Liar>"}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_clients_get(value: Any, shown: Any) -> None:
    assert decoded(value) == shown
    assert decoded({"in": [value]}) == {"in": [shown]}
    # The slow way, which one odd value brings upon all others of its document, writes them alike.
    assert decoded([value, "\ud83d"]) == [shown, "?"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: 10**5000,  # too long to be written in digits
        Wall,  # pytest could not look at one either
        object,
        lambda: Liar,
        lambda: len,
        lambda: sys,
        lambda: (n for n in range(3)),
        lambda: {Liar(): 1},
        lambda: {Wall(): 1},
        lambda: {Colour: 1},
        lambda: Command(goto=Send("node", 1), update={"a": Liar()}),
    ],
)
def test_what_has_no_form_of_its_own_is_text(make: Callable[[], Any]) -> None:
    assert decoded(["ok", make()])[0] == "ok"


def test_messages_show_their_fields() -> None:
    shown = decoded({"messages": [HumanMessage("hi", id="1"), AIMessage("ho", id="2", more=1)]})["messages"]
    assert shown[0] == {
        "content": "hi", "additional_kwargs": {}, "response_metadata": {}, "type": "human", "name": None, "id": "1",
    }  # fmt: skip
    assert shown[1]["type"] == "ai" and shown[1]["tool_calls"] == [] and shown[1]["more"] == 1


def test_chunks_are_named_as_such() -> None:
    assert decoded(AIMessageChunk(content="a", chunk_position="last")).items() >= {
        "type": "AIMessageChunk", "content": "a", "chunk_position": "last", "tool_call_chunks": [],
    }.items()  # fmt: skip


def test_a_users_message_class_is_dumped() -> None:
    assert decoded(Memo(content="x"))["content"] == "x"
    assert "Stubborn" in decoded([Stubborn(content="x")])[0]


def test_interrupts() -> None:
    asked = Interrupt(value={"a": Point(1)}, id="i" * 32)
    assert decoded(asked) == {"value": {"a": {"x": 1, "y": None}}, "id": "i" * 32, "response_schema": None}
    assert interrupt(asked) == {"id": "i" * 32, "value": {"a": Point(1)}}


def test_errors() -> None:
    assert json.loads(error_json(KeyError("k"))) == {"error": "KeyError", "message": "'k'"}
    assert json.loads(error_json(Silent())) == {"error": "Silent", "message": ""}


def _nested(levels: int) -> Any:
    value: Any = "core"
    for _ in range(levels):
        value = {"in": [value]}
    return value


@pytest.mark.parametrize("levels", [50, 100, 1000, 20_000])
def test_deep_nesting_ends_in_text(levels: int) -> None:
    shown = decoded({"deep": _nested(levels)})
    depth = 0
    while not isinstance(shown, str):
        shown = shown["deep" if not depth else "in"] if isinstance(shown, dict) else shown[0]
        depth += 1
    assert depth >= min(levels * 2, 200)


def _self() -> Any:
    value: list[Any] = []
    value += [value, value]
    return value


def _family() -> Any:
    parent = Point(0, [])
    parent.y = [Point(n, parent) for n in range(4)]
    return parent


def _models() -> Any:
    parent = Model()
    parent.when = [Model(when=parent), Model(when={"up": parent})]
    return parent


@pytest.mark.parametrize("make", [_self, _family, _models])
def test_what_contains_itself_ends_there(make: Callable[[], Any]) -> None:
    """Written out level by level it would have 2 to the power of 200 parts."""
    assert len(to_json(make())) < 10_000
