"""What who waits for a run gets, made of the run's events."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from lineshaft.events.log import GAP, Entry
from lineshaft.threads.thread import Thread
from lineshaft_api.outcome import Outcome, of_thread

LEFT = {"value": "left?", "id": "1"}
RIGHT = {"value": "right?", "id": "2"}


def outcome(*events: tuple[str, Any], attempt: int = 1, before: Outcome | None = None) -> Outcome:
    found = before or Outcome()
    for event, data in events:
        found.add([Entry("1-0001", "r", attempt, event, msgspec.json.encode(data), 1)])
    return found


def body(*events: tuple[str, Any]) -> Any:
    found = outcome(*events).body()
    return None if found is None else msgspec.json.decode(found)


def test_the_last_values() -> None:
    assert body(("metadata", {}), ("values", {"n": 1}), ("updates", {"a": 2}), ("values", {"n": 2})) == {"n": 2}


def test_without_values_there_is_no_answer() -> None:
    assert body(("metadata", {}), ("updates", {"a": 1}), ("messages/partial", [])) is None


def test_an_error_wins() -> None:
    error = {"error": "ValueError", "message": "boom"}
    assert body(("values", {"n": 1}), ("error", error)) == {"__error__": error}


def test_subgraphs_do_not_count() -> None:
    assert body(("values", {"n": 1}), ("values|child:1", {"n": 7, "__interrupt__": [LEFT]})) == {"n": 1}


def test_one_interrupt_comes_with_the_values() -> None:
    paused = {"n": 1, "__interrupt__": [LEFT]}
    assert body(("values", {"n": 1}), ("values", paused)) == paused


def test_one_interrupt_of_an_update_comes_alone() -> None:
    assert body(("updates", {"__interrupt__": [LEFT]})) == {"__interrupt__": [LEFT]}


def test_interrupts_of_protocol_v2_come_with_the_values() -> None:
    asked = [("input.requested|a:1", {"interrupt_id": q["id"], "value": q["value"]}) for q in (LEFT, RIGHT)]
    shown = [{**LEFT, "response_schema": None}, {**RIGHT, "response_schema": None}]
    assert body(("values", {"n": 1}), *asked) == {"n": 1, "__interrupt__": shown}
    assert body(*asked) == body(("values", 7), *asked) == {"__interrupt__": shown}


@pytest.mark.parametrize("modes", [("values", "updates"), ("updates", "values")])
def test_an_interrupt_that_two_modes_show_is_one(modes: tuple[str, str]) -> None:
    shown = {"values": {"n": 1, "__interrupt__": [LEFT]}, "updates": {"__interrupt__": [LEFT]}}
    assert body(("values", {"n": 1}), *((mode, shown[mode]) for mode in modes)) == shown["values"]


def test_several_interrupts_come_without_values() -> None:
    assert body(("values", {"n": 1, "__interrupt__": [LEFT]}), ("values", {"n": 1, "__interrupt__": [RIGHT]})) == {
        "__interrupt__": [LEFT, RIGHT]
    }
    assert body(("updates", {"__interrupt__": [LEFT]}), ("updates", {"__interrupt__": [RIGHT]})) == {
        "__interrupt__": [LEFT, RIGHT]
    }


def test_an_empty_interrupt_is_none() -> None:
    assert body(("values", {"n": 1, "__interrupt__": []})) == {"n": 1, "__interrupt__": []}


@pytest.mark.parametrize(
    "data", [["__interrupt__"], {"text": "__interrupt__"}, {"inner": {"__interrupt__": [LEFT]}}, {"__interrupt__": 7}]
)
def test_values_may_use_the_word(data: Any) -> None:
    assert body(("values", {"n": 1}), ("values", data)) == data


def test_interrupts_without_ids_are_told_apart_by_what_they_say() -> None:
    assert body(("updates", {"__interrupt__": ["a"]}), ("updates", {"__interrupt__": ["b", "a"]})) == {
        "__interrupt__": ["b", "a"]
    }


def test_a_new_attempt_voids_what_an_earlier_one_showed() -> None:
    first = outcome(("values", {"n": 7, "__interrupt__": [LEFT]}), ("error", {"error": "X", "message": ""}))
    second = outcome(("metadata", {}), attempt=2, before=first)
    assert second.body() is None
    assert outcome(("values", {"n": 1}), attempt=2, before=second).body() == b'{"n":1}'


def test_values_from_before_a_gap_are_not_the_last() -> None:
    gap = (GAP, {"reason": "the event is too large", "event": "values"})
    assert body(("values", {"n": 1}), gap) is None
    assert body(("values", {"n": 1}), gap, ("values", {"n": 3})) == {"n": 3}


def thread(values: bytes = b'{"n":1}', interrupts: bytes = b"{}", error: bytes = b"null") -> Thread:
    return Thread(
        thread_id="t", created_at="", updated_at="", state_updated_at="", metadata={}, status="idle", config={},
        values=Raw(values), interrupts=Raw(interrupts), error=Raw(error),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "seen", "answer"),
    [
        (thread(), False, {"n": 1}),
        (thread(b"null"), False, {}),
        (
            thread(interrupts=b'{"a":[{"id":"1"}],"b":[{"id":"2"}]}'),
            False,
            {"__interrupt__": [{"id": "1"}, {"id": "2"}]},
        ),
        (thread(error=b'{"error":"E","message":"m"}'), False, {"__error__": {"error": "E", "message": "m"}}),
        # Cancelled before it showed any values.
        (thread(error=b'{"error":"UserInterrupt","message":"m"}'), True, {"n": 1}),
    ],
)
def test_the_thread_in_place_of_events(found: Thread, seen: bool, answer: Any) -> None:
    assert msgspec.json.decode(of_thread(found, seen=seen)) == answer


def test_a_thread_without_runs_has_empty_values() -> None:
    fresh = Thread(
        thread_id="t", created_at="", updated_at="", state_updated_at="", metadata={}, status="idle", config={},
        values=Raw(b"null"),
    )  # fmt: skip
    assert of_thread(fresh, seen=False) == b"{}"
