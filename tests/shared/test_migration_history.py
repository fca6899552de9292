"""What a thread's history says, as the supersteps that make it again."""

from typing import Any

from lineshaft.migration.history import MOST, branch_of, newest, supersteps


def state(
    number: int, source: str, values: Any, *, tasks: dict[str, Any] | None = None, parent: int | None = None
) -> dict[str, Any]:
    before = number - 1 if parent is None else parent
    return {
        "checkpoint": {"checkpoint_id": f"c{number}"},
        "parent_checkpoint": {"checkpoint_id": f"c{before}"} if before >= 0 else None,
        "metadata": {"source": source, "step": number - 1},
        "values": values,
        "next": list(tasks or {}),
        "tasks": [{"name": name, "result": result} for name, result in (tasks or {}).items()],
    }


def message(text: str, message_id: str | None = None) -> dict[str, Any]:
    return {"content": text, **({"id": message_id} if message_id else {})}


TALK = [
    state(0, "input", {"messages": []}, tasks={"__start__": {"messages": [message("hi"), message("hi")]}}),
    state(
        1, "loop", {"messages": [message("hi", "a"), message("hi", "b")]}, tasks={"say": {"messages": [message("yes")]}}
    ),
    state(2, "loop", {"messages": [message("hi", "a"), message("hi", "b"), message("yes", "c")]}),
]


def test_each_step_is_what_its_nodes_returned_with_the_ids_that_messages_got() -> None:
    given = {"messages": [message("hi", "a"), message("hi", "b")]}
    assert supersteps(branch_of(TALK[::-1])) == [
        {"updates": [{"values": given, "as_node": "__input__"}]},
        {"updates": [{"values": given, "as_node": "__start__"}]},
        {"updates": [{"values": {"messages": [message("yes", "c")]}, "as_node": "say"}]},
    ]


def test_branches_that_were_left_are_not_part_of_it() -> None:
    left = state(3, "loop", {}, parent=1)
    assert branch_of([TALK[2], left, TALK[1], TALK[0]]) == TALK


def test_where_a_branch_begins_a_state_stands_twice() -> None:
    fork = state(3, "fork", TALK[1]["values"], tasks={"say": {"messages": [message("no")]}}, parent=1)
    end = state(4, "loop", {"messages": [*TALK[1]["values"]["messages"], message("no", "d")]})
    branch = branch_of([end, fork, *TALK[::-1]])
    assert [each["checkpoint"]["checkpoint_id"] for each in branch] == ["c0", "c1", "c4"]
    steps = supersteps(branch)
    assert steps
    assert steps[-1] == {"updates": [{"values": {"messages": [message("no", "d")]}, "as_node": "say"}]}


def test_of_an_update_by_hand_only_the_newest_state_is_known() -> None:
    by_hand = state(3, "update", {"messages": []})
    assert supersteps([*TALK, by_hand]) is None
    assert list(newest([by_hand, *TALK[::-1]])) == [
        [
            {"updates": [{"values": {"messages": []}, "as_node": "say"}]},
            {"updates": [{"values": None, "as_node": "__end__"}]},
        ]
    ]


def test_to_a_state_that_goes_on_every_node_could_have_led() -> None:
    values = {"log": ["by hand"]}
    head = state(3, "update", values, tasks={"look": None})
    assert list(newest([head, *TALK[::-1]])) == [
        *([{"updates": [{"values": values, "as_node": node}]}] for node in ("say", "look")),
        *(
            [{"updates": [{"command": {"update": values, "goto": ["look"]}, "as_node": node}]}]
            for node in ("say", "look")
        ),
    ]


def test_there_may_be_nothing_to_go_by() -> None:
    assert supersteps([]) is None
    assert not list(newest([state(0, "update", {"x": 1})]))
    long = [state(0, "input", {}, tasks={"__start__": {"x": 0}})]
    long += [state(number, "loop", {}, tasks={"again": {"x": number}}) for number in range(1, MOST + 1)]
    assert supersteps(long) is None
    assert supersteps(long[:MOST]) is not None
