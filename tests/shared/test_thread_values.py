"""Searches by what threads have in their states, and values taken out of what is found."""

from typing import Any

import msgspec
import pytest

from lineshaft.errors import Invalid, TooLarge
from lineshaft.redis.client import Client
from lineshaft.search import Page
from lineshaft.threads import values as thread_values
from lineshaft.threads.extract import Extract
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.state import pack_state
from lineshaft.threads.thread import Thread, ThreadStore


@pytest.fixture
def search(client: Client) -> ThreadSearch:
    return ThreadSearch(client)


async def made(client: Client, values: Any = None, **metadata: Any) -> str:
    """A thread whose last run has left these values; None for one that has had no run."""
    thread_id = (await ThreadStore(client).create(metadata=metadata)).thread_id
    if values is not None:
        state = msgspec.json.encode({"next": [], "values": values})
        await client.command("HSET", client.keys.thread_snapshot(thread_id), "state", state, "interrupts", b"{}")
    return thread_id


def ids(page: Page[Thread]) -> list[str]:
    return [thread.thread_id for thread in page.rows]


async def test_values_are_contained(client: Client, search: ThreadSearch) -> None:
    both = await made(client, {"label": "M", "deep": {"x": 1, "y": [1, 2]}, "n": 1}, tag="t")
    other = await made(client, {"label": "L", "deep": {"x": 2}}, tag="t")
    await made(client, tag="t")
    strange: list[Any] = ["text", [1], 0, {}]
    for values in strange:
        await made(client, values)
    for values, expected in (
        ({"label": "M"}, [both]),
        ({"deep": {"x": 2}}, [other]),
        ({"deep": {}}, [other, both]),
        ({"deep": {"y": [1, 2]}, "n": 1.0}, [both]),
        ({"deep": {"y": [1]}}, []),
        ({"label": None}, []),
        ({"absent": 1}, []),
    ):
        for where in (
            Filter(values=values),
            Filter(values=values, metadata={"tag": "t"}, status="idle"),
            Filter(values=values, ids=[both, other]),
        ):
            assert sorted(ids(await search.search(where))) == sorted(expected)
        assert await search.count(Filter(values=values)) == len(expected)


async def test_pages_of_what_matches(client: Client, search: ThreadSearch) -> None:
    even = [await made(client, {"even": n % 2 == 0}) for n in range(9)][::2]
    in_order = [thread_id for thread_id in ids(await search.search(Filter())) if thread_id in even]
    first = await search.search(Filter(values={"even": True}), limit=2)
    assert (ids(first), first.next) == (in_order[:2], 2)
    rest = await search.search(Filter(values={"even": True}), limit=5, offset=2)
    assert (ids(rest), rest.next) == (in_order[2:], None)


async def test_a_search_looks_into_a_bounded_number_of_states(
    client: Client, search: ThreadSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_values, "LOOKS", 20)
    monkeypatch.setattr("lineshaft.threads.search._STEP", 10)
    wanted = [await made(client, {"n": n % 10}, few=n % 4) for n in range(40)][39]
    with pytest.raises(Invalid, match="Narrow it"):
        await search.search(Filter(values={"n": -1}))
    with pytest.raises(Invalid, match="Narrow it"):
        await search.count(Filter(values={"n": 9}))
    assert await search.count(Filter(values={"n": 9}, metadata={"few": 1})) == 2
    assert ids(await search.search(Filter(values={"n": 9}), limit=1)) == [wanted]


async def test_large_states_are_looked_into_one_after_the_other(
    client: Client, search: ThreadSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_values, "_BYTES_AT_ONCE", 2000)
    made_ids = [await made(client, {"n": n, "text": "x" * (900 * n)}) for n in range(5)]
    assert ids(await search.search(Filter(values={"n": 4}))) == made_ids[4:]
    assert await search.count(Filter(values={"text": "x" * 900})) == 1


async def test_a_state_that_is_kept_in_slices_is_looked_into(client: Client, search: ThreadSearch) -> None:
    small, large = await made(client, {"label": "L"}), await made(client, {})
    state = msgspec.json.encode({"values": {"label": "L", "text": "x" * 3_000_000}})
    slices, stored = pack_state(client, large, state)
    assert len(slices) == 3
    await client.commands(*slices, ("HSET", client.keys.thread_snapshot(large), "state", stored))
    assert sorted(ids(await search.search(Filter(values={"label": "L"})))) == sorted([small, large])
    assert await search.count(Filter(values={"label": "M"})) == 0


async def test_a_page_that_is_too_large_is_refused(
    client: Client, search: ThreadSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineshaft.redis.slices.ANSWER_BYTES", 5000)
    for _ in range(6):
        await made(client, {"text": "x" * 1000})
    with pytest.raises(TooLarge, match="ask for fewer at once"):
        await search.search(Filter())
    assert len(ids(await search.search(Filter(), limit=4))) == 4
    assert len(ids(await search.search(Filter(), with_state=False))) == 6


THREAD = Thread(
    thread_id="t",
    created_at="",
    updated_at="",
    state_updated_at="",
    metadata={"deep": {"x": 1}, "a key": {"b": None}},
    status="idle",
    config={"tags": ["t"]},
    values=msgspec.Raw(b'{"label":"L","steps":["a","b"],"messages":[{"content":"hi"},{"content":"ho"}]}'),
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("values.label", "L"),
        ("values.steps[0]", "a"),
        ("values.steps[-1]", "b"),
        ("values.steps[-3]", None),
        ("values.steps[2]", None),
        ("values.messages[-1].content", "ho"),
        ("values.label.x", None),
        ("values.label[0]", None),
        ("values[0]", None),
        ("metadata.deep.x", 1),
        ("metadata.a key.b", None),
        ("config.tags", ["t"]),
        ("interrupts.x[0].value", None),
        ("metadata", {"deep": {"x": 1}, "a key": {"b": None}}),
    ],
)
def test_a_path_leads_to_a_value_or_to_null(path: str, value: Any) -> None:
    assert Extract({"alias": path}).of(THREAD) == {"alias": value}


@pytest.mark.parametrize(
    "paths",
    [
        {"a": "status"},
        {"a": "values."},
        {"a": "values[x]"},
        {"a": "values[1"},
        {"a": "values..x"},
        {"a": ""},
        {"a": "values[99999999999999999999]"},
        {"a": "valuesx"},
        {"a b": "values.x"},
        {"": "values.x"},
        {"1a": "values.x"},
        {"thread_id": "values.x"},
        {"values": "values.x"},
        {f"a{n}": "values.x" for n in range(11)},
    ],
)
def test_what_cannot_be_extracted(paths: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Extract(paths)


def test_a_state_is_read_only_where_a_path_needs_it() -> None:
    assert Extract({"a": "metadata.x", "b": "interrupts.y"}).needs_state
    assert not Extract({"a": "metadata.x", "b": "config.y"}).needs_state
