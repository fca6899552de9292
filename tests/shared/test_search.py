"""Leaves and containment, without Redis."""

import random
from typing import Any

import pytest

from lineshaft.search import MAX_LEAVES, PARTIAL, Page, contains, filter_leaves, index_leaves, page


def test_leaves_are_scalars_by_path() -> None:
    leaves = index_leaves({"owner": "ann", "deep": {"x": 1, "y": {"z": None}}, "ok": True, "list": [1], "empty": {}})
    assert leaves == ['owner="ann"', "deep.x=1", "deep.y.z=null", "ok=true"]


def test_graph_and_assistant_are_indexed_elsewhere() -> None:
    assert index_leaves({"graph_id": "g", "assistant_id": "a"}) == []
    assert filter_leaves({"graph_id": 'g "x"', "assistant_id": "a"}) == (['graph_id="g "x""', 'assistant_id="a"'], True)


def test_a_key_with_a_dot_is_not_a_path() -> None:
    assert index_leaves({"a.b": 1}) != index_leaves({"a": {"b": 1}})


def test_long_leaves_and_those_with_spaces_are_digests() -> None:
    for value in ("two words", "x" * 100):
        (leaf,) = index_leaves({"k": value})
        assert len(leaf) == 16
        assert filter_leaves({"k": value}) == ([leaf], True)


def test_too_deep_or_too_long_is_left_to_comparison() -> None:
    without: list[dict[str, Any]] = [{"a": {"b": {"c": {"d": 1}}}}, {"k": "x" * 129}, {"k": [1]}, {"k": {}}]
    for metadata in without:
        assert index_leaves(metadata) == []
        assert filter_leaves(metadata) == ([], False)
    assert filter_leaves({}) == ([], True)


def test_one_number_has_one_leaf() -> None:
    assert index_leaves({"n": 1.0}) == index_leaves({"n": 1}) != index_leaves({"n": True})
    assert index_leaves({"n": 1.5}) == ["n=1.5"]


def test_many_leaves_are_marked() -> None:
    leaves = index_leaves({str(i): i for i in range(MAX_LEAVES + 5)})
    assert len(leaves) == MAX_LEAVES + 1
    assert leaves[-1] == PARTIAL
    assert PARTIAL not in index_leaves({str(i): i for i in range(MAX_LEAVES)})


@pytest.mark.parametrize(
    ("document", "wanted", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, True),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, False),
        ({"a": 1}, {"a": {}}, False),
        ({"a": {"x": 1}}, {"a": {}}, True),
        ({}, {"a": None}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [1, {"x": 1}]}, {"a": [1.0, {"x": 1}]}, True),
        ({"a": [{"x": 1, "y": 1}]}, {"a": [{"x": 1}]}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": 1}, {}, True),
    ],
)
def test_containment(document: Any, wanted: Any, expected: bool) -> None:
    assert contains(document, wanted) is expected


def some_json(rng: random.Random, depth: int = 0) -> Any:
    """A small value from few possibilities, so that two of them often have something in common."""
    scalars = [0, 1, 1.0, 1.5, True, False, None, "", "a", "a b", "\x00", "é", "x" * 70, "x" * 130, -0.0, 2**70]
    if depth == 0 or (depth < 5 and rng.random() < 0.4):
        keys = rng.sample(["a", "b", "a.b", "c d", "=", "*"], rng.randrange(4))
        return {key: some_json(rng, depth + 1) for key in keys}
    if rng.random() < 0.1:
        return [some_json(rng, depth + 1) for _ in range(rng.randrange(3))]
    return rng.choice(scalars)


@pytest.mark.parametrize("seed", range(4))
def test_leaves_never_contradict_containment(seed: int) -> None:
    rng = random.Random(seed)
    both = 0
    for _ in range(5_000):
        document, wanted = some_json(rng), some_json(rng)
        leaves, complete = filter_leaves(wanted)
        has_all = set(leaves) <= set(index_leaves(document))
        match = contains(document, wanted)
        both += match
        assert has_all or not match, (document, wanted)
        assert match or not (has_all and complete), (document, wanted)
    assert both > 100  # the values met often enough to say something


def test_pages_say_where_the_next_one_begins() -> None:
    first = page([1, 2, 3], 2, 0)
    assert (first.rows, first.next, first.total) == ([1, 2], 2, 3)
    last = page([3], 2, 2)
    assert (last.rows, last.next, last.total) == ([3], None, 3)
    past: Page[int] = page([], 2, 50)
    assert (past.rows, past.next, past.total) == ([], None, 50)
