"""Search and count threads."""

import pytest


@pytest.fixture
async def trio(api, make_thread, tag):
    """Three threads, oldest first: idle with values, interrupted, and empty."""
    done = await make_thread(
        metadata={"tag": tag, "graph_id": "counter", "i": 0, "deep": {"x": 1, "y": 2}},
        supersteps=[{"updates": [{"values": {"total": 1, "steps": ["a", "b"], "label": "L"}, "as_node": "second"}]}],
    )
    waiting = await make_thread(
        metadata={"tag": tag, "graph_id": "counter", "i": 1},
        supersteps=[{"updates": [{"values": {"total": 2, "label": "M"}, "as_node": "first"}]}],
    )
    empty = await make_thread(metadata={"tag": tag, "i": 2})
    return [thread["thread_id"] for thread in (done, waiting, empty)]


@pytest.fixture
def search(api, tag):
    async def go(**fields):
        metadata = {"tag": tag, **fields.pop("metadata", {})}
        response = await api.post("/threads/search", json={"metadata": metadata, **fields})
        assert response.status_code == 200, response.text
        return response

    return go


def ids(response):
    return [row["thread_id"] for row in response.json()]


async def test_pages_are_chained_by_the_next_header(trio, search):
    seen, offset = [], 0
    while True:
        response = await search(limit=2, offset=offset)
        seen += ids(response)
        if "x-pagination-next" not in response.headers:
            break
        offset = int(response.headers["x-pagination-next"])
    assert sorted(seen) == sorted(trio)
    assert response.headers["x-pagination-total"] == "3"


async def test_sort_by_times(trio, search, api):
    assert ids(await search(sort_by="created_at", sort_order="asc")) == trio
    assert ids(await search(sort_by="created_at")) == trio[::-1]

    done, _, _ = trio
    await api.patch(f"/threads/{done}", json={"metadata": {"touched": 1}})
    assert ids(await search(sort_by="updated_at"))[0] == done
    assert ids(await search(sort_by="state_updated_at"))[-1] == done


async def test_metadata_filter_is_containment(trio, search):
    assert ids(await search(metadata={"deep": {"x": 1}})) == [trio[0]]
    assert ids(await search(metadata={"deep": {"x": 2}})) == []


async def test_filter_by_values(trio, search):
    response = await search(metadata={"graph_id": "counter"}, values={"label": "M"})
    assert ids(response) == [trio[1]]


async def test_select_keeps_only_the_named_fields(trio, search):
    rows = (await search(select=["thread_id", "status"])).json()
    assert all(set(row) == {"thread_id", "status"} for row in rows)
    rows = (await search(select=["values"], ids=[trio[1]])).json()
    assert rows == [{"values": {"total": 2, "steps": [], "label": "M"}}]


async def test_extract_reads_into_the_thread(trio, search):
    response = await search(
        ids=[trio[0]],
        select=["thread_id"],
        extract={
            "label": "values.label",
            "first_step": "values.steps[0]",
            "last_step": "values.steps[-1]",
            "deep": "metadata.deep.x",
            "missing": "values.nope.nope",
        },
    )
    assert response.json() == [
        {
            "thread_id": trio[0],
            "extracted": {"label": "L", "first_step": "a", "last_step": "b", "deep": 1, "missing": None},
        }
    ]


async def test_count_uses_the_same_filters(api, trio, tag):
    async def count(**fields):
        metadata = {"tag": tag, **fields.pop("metadata", {})}
        return (await api.post("/threads/count", json={"metadata": metadata, **fields})).json()

    assert await count() == 3
    assert await count(status="interrupted") == 1
    assert await count(metadata={"graph_id": "counter"}, values={"label": "L"}) == 1
