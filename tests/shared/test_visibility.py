"""What the filters of authorization handlers mean."""

from typing import Any

import pytest

from lineshaft.access.visibility import Condition, GraphLimit, restrict
from lineshaft.errors import ConfigError
from lineshaft.search import Restricted, contains, filter_leaves

ALICE: dict[str, Any] = {"owner": "alice", "readers": ["bob", "carol"], "size": 1, "deep": {"a": 1}}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"owner": "alice"},
        {"owner": {"$eq": "alice"}},
        {"size": 1.0},
        {"deep": {"$eq": {"a": 1}}},
        {"readers": {"$contains": "bob"}},
        {"readers": {"$contains": ["carol", "bob"]}},
        {"owner": "alice", "size": 1},
        {"$or": [{"owner": "bob"}, {"readers": {"$contains": "bob"}}]},
        {"$and": [{"owner": "alice"}, {"$or": [{"size": 1}, {"size": 2}]}]},
    ],
)
def test_a_filter_lets_its_own_through(wanted: dict[str, Any]) -> None:
    assert Condition(wanted).sees(ALICE)


@pytest.mark.parametrize(
    "wanted",
    [
        {"owner": "bob"},
        {"owner": None},
        {"missing": None},
        {"size": True},
        {"owner": {"$contains": "alice"}},  # a text is no list
        {"readers": {"$contains": ["bob", "dave"]}},
        {"readers": {"$contains": "bo"}},
        {"owner": "alice", "size": 2},
        {"$or": [{"owner": "bob"}, {"owner": "carol"}]},
        {"$and": [{"owner": "alice"}, {"size": 2}]},
    ],
)
def test_a_filter_hides_what_is_not(wanted: dict[str, Any]) -> None:
    assert not Condition(wanted).sees(ALICE)


@pytest.mark.parametrize(
    "wanted",
    [
        {"$or": [{"owner": "alice"}]},
        {"$or": {"owner": "alice"}},
        {"$or": ["owner", "alice"]},
        {"$not": [{"owner": "alice"}, {"owner": "bob"}]},
        {"owner": {"$ne": "bob"}},
        {"owner": {"$eq": "alice", "$contains": "a"}},
        {"owner": {"name": "alice"}},
        {"owner": "bob", "$or": []},  # told also where another part has said no
        {"$or": [{"$or": [{"$or": [{"a": 1}, {"a": 2}]}, {"a": 1}]}, {"a": 1}]},
    ],
)
def test_a_malformed_filter_opens_nothing(wanted: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="auth"):
        Condition(wanted).sees(ALICE)


def test_a_clients_filter_cannot_widen_what_it_may_see() -> None:
    wishes: list[dict[str, Any]] = [
        {}, {"owner": "alice"}, {"owner": {"$eq": "alice"}}, {"$or": [{}]}, {"size": 1},
    ]  # fmt: skip
    for own in ({"owner": "bob"}, {"owner": {"$eq": "bob"}}, {"$or": [{"owner": "bob"}, {"x": 1}]}):
        for wish in wishes:
            assert not contains(ALICE, restrict(wish, Condition(own)))
    assert contains({"owner": "bob", "size": 1}, restrict({"size": 1}, Condition({"owner": "bob"})))


def test_what_an_index_can_find_is_looked_up_there() -> None:
    simple = restrict({"size": 1}, Condition({"owner": "bob"}))
    assert filter_leaves(simple) == (["size=1", 'owner="bob"'], True)
    either = restrict({}, Condition({"owner": "bob", "readers": {"$contains": "x"}}))
    assert isinstance(either, Restricted)
    assert filter_leaves(either) == (['owner="bob"'], False)
    assert restrict({"size": 1}, None) == {"size": 1}


def test_a_limit_to_graphs_hides_those_of_others() -> None:
    limit = GraphLimit(["a"])
    assert [limit.sees({"graph_id": graph}) for graph in ("a", "b", None)] == [True, False, True]
    assert limit.sees({})
