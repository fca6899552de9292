"""Search and count assistants."""

import pytest

from tests.contract.resources.checks import assert_error


@pytest.fixture
async def trio(make_assistant, tag):
    """Three assistants, oldest first: Beta (echo), alpha (echo), Gamma (counter)."""
    return [
        await make_assistant("echo", name="Beta one", metadata={"tag": tag, "i": 0, "deep": {"x": 0, "y": 1}}),
        await make_assistant("echo", name="alpha two", metadata={"tag": tag, "i": 1, "deep": {"x": 1, "y": 1}}),
        await make_assistant("counter", name="Gamma", metadata={"tag": tag, "i": 2, "deep": {"x": 2, "y": 1}}),
    ]


@pytest.fixture
def search(api, tag):
    async def go(**fields):
        metadata = {"tag": tag, **fields.pop("metadata", {})}
        response = await api.post("/assistants/search", json={"metadata": metadata, **fields})
        assert response.status_code == 200, response.text
        return response

    return go


def names(response):
    return [row["name"] for row in response.json()]


async def test_newest_first_by_default(trio, search):
    response = await search()
    assert names(response) == ["Gamma", "alpha two", "Beta one"]
    assert response.headers["x-pagination-total"] == "3"
    assert "x-pagination-next" not in response.headers

    response = await search(offset=50)
    assert response.json() == []
    assert "x-pagination-next" not in response.headers


async def test_sort_by_name_ignores_case_and_defaults_to_descending(trio, search):
    assert names(await search(sort_by="name")) == ["Gamma", "Beta one", "alpha two"]
    assert names(await search(sort_by="name", sort_order="asc")) == ["alpha two", "Beta one", "Gamma"]


async def test_sort_by_created_and_updated(api, trio, search):
    assert names(await search(sort_by="created_at", sort_order="asc")) == ["Beta one", "alpha two", "Gamma"]
    await api.patch(f"/assistants/{trio[0]['assistant_id']}", json={"description": "touched"})
    assert names(await search(sort_by="updated_at"))[0] == "Beta one"


async def test_filter_by_graph(trio, search, api):
    assert names(await search(graph_id="counter")) == ["Gamma"]

    assert_error(await api.post("/assistants/search", json={"graph_id": "nope"}), 404)
    assert_error(await api.post("/assistants/count", json={"graph_id": "nope"}), 404)


async def test_filter_by_name_is_a_substring_in_any_case(trio, search):
    assert names(await search(name="TWO")) == ["alpha two"]
    assert names(await search(name="absent")) == []


async def test_metadata_filter_is_containment(trio, search):
    assert len((await search(metadata={"deep": {"y": 1}})).json()) == 3
    assert names(await search(metadata={"deep": {"x": 1}})) == ["alpha two"]
    assert names(await search(metadata={"i": 5})) == []


async def test_search_rejects_bad_fields(api):
    for fields in (
        {"limit": 0},
        {"limit": 1001},
        {"limit": "5"},
        {"offset": -1},
        {"sort_by": "metadata"},
        {"sort_order": "up"},
        {"select": ["secret"]},
        {"metadata": "x"},
    ):
        assert_error(await api.post("/assistants/search", json=fields), 422)


async def test_sdk_search_and_count(sdk, trio, tag):
    rows = await sdk.assistants.search(metadata={"tag": tag}, limit=2)
    assert [row["name"] for row in rows] == ["Gamma", "alpha two"]
    page = await sdk.assistants.search(metadata={"tag": tag}, limit=2, response_format="object")
    assert page["next"] == "2"
    assert len(page["assistants"]) == 2
    assert await sdk.assistants.count(metadata={"tag": tag}) == 3
