"""Items and namespaces of the long-term store."""

import pytest

from tests.contract.resources.checks import assert_error, unique


@pytest.fixture
def root():
    """A namespace root no other test uses."""
    return unique().replace("-", "")


@pytest.fixture
def put(api):
    async def go(namespace, key, value, **fields):
        response = await api.put("/store/items", json={"namespace": namespace, "key": key, "value": value, **fields})
        assert response.status_code == 204, response.text
        return response

    return go


@pytest.fixture
def get(api):
    async def go(namespace, key, **params):
        return await api.get("/store/items", params={"namespace": ".".join(namespace), "key": key, **params})

    return go


@pytest.fixture
def search(api):
    async def go(**fields):
        response = await api.post("/store/items/search", json=fields)
        assert response.status_code == 200, response.text
        return response.json()["items"]

    return go


@pytest.fixture
def namespaces(api):
    async def go(**fields):
        response = await api.post("/store/namespaces", json=fields)
        assert response.status_code == 200, response.text
        return response.json()["namespaces"]

    return go


def keys(items):
    return {item["key"] for item in items}


async def test_get_returns_the_item(put, get, root):
    value = {"x": 1, "deep": {"list": [1, None, "é"]}}
    await put([root, "a"], "k", value)
    body = (await get([root, "a"], "k")).json()
    assert body["namespace"] == [root, "a"]
    assert body["key"] == "k"
    assert body["value"] == value
    assert body["created_at"] and body["updated_at"]


async def test_put_rejects_bad_fields(api, root):
    good = {"namespace": [root], "key": "k", "value": {}}
    for change in (
        {"namespace": "text"},
        {"namespace": [1]},
        {"namespace": None},
        {"key": 5},
        {"value": None},
        {"value": [1]},
        {"value": "text"},
        {"index": True},
        {"index": "x"},
        {"ttl": "soon"},
    ):
        assert_error(await api.put("/store/items", json={**good, **change}), 422)
    for missing in good:
        body = {name: value for name, value in good.items() if name != missing}
        assert_error(await api.put("/store/items", json=body), 422)


async def test_search_filter_by_equality(put, search, root):
    await put([root], "a", {"color": "red", "x": 1})
    await put([root], "b", {"color": "red", "x": 2})
    await put([root], "c", {"color": "blue", "x": 2})
    assert keys(await search(namespace_prefix=[root], filter={"color": "red"})) == {"a", "b"}
    assert keys(await search(namespace_prefix=[root], filter={"color": "red", "x": 2})) == {"b"}
    assert keys(await search(namespace_prefix=[root], filter={"x": {"$eq": 2}})) == {"b", "c"}
    assert keys(await search(namespace_prefix=[root], filter={"x": {"$ne": 2}})) == {"a"}
    assert len(await search(namespace_prefix=[root], filter={})) == 3
    assert len(await search(namespace_prefix=[root], filter=None)) == 3


async def test_search_filter_by_comparison(put, search, root):
    for number in range(4):
        await put([root], f"k{number}", {"x": number, "deep": {"y": number}})
    assert keys(await search(namespace_prefix=[root], filter={"x": {"$gt": 1}})) == {"k2", "k3"}
    assert keys(await search(namespace_prefix=[root], filter={"x": {"$gte": 1, "$lt": 3}})) == {"k1", "k2"}
    assert keys(await search(namespace_prefix=[root], filter={"x": {"$lte": 1}})) == {"k0", "k1"}
    assert keys(await search(namespace_prefix=[root], filter={"deep": {"y": 2}})) == {"k2"}


@pytest.fixture
async def tree(put, root):
    for path in (["a"], ["a", "c"], ["b"], ["b", "d", "e"]):
        await put([root, *path], "k", {})
    return root


async def test_namespaces_by_prefix_suffix_and_wildcard(tree, namespaces):
    assert await namespaces(prefix=[tree]) == [[tree, "a"], [tree, "a", "c"], [tree, "b"], [tree, "b", "d", "e"]]
    assert await namespaces(prefix=[tree, "a"]) == [[tree, "a"], [tree, "a", "c"]]

    assert await namespaces(prefix=[tree], suffix=["c"]) == [[tree, "a", "c"]]
    assert await namespaces(prefix=[tree], suffix=["d", "e"]) == [[tree, "b", "d", "e"]]

    assert await namespaces(prefix=[tree, "*", "c"]) == [[tree, "a", "c"]]


async def test_namespaces_cut_at_max_depth_are_merged(tree, namespaces):
    assert await namespaces(prefix=[tree], max_depth=2) == [[tree, "a"], [tree, "b"]]
    assert [tree, "b", "d"] in await namespaces(prefix=[tree], max_depth=3)


async def test_namespaces_reject_bad_fields(api):
    for change in ({"prefix": "x"}, {"prefix": None}, {"max_depth": "1"}, {"limit": "1"}):
        assert_error(await api.post("/store/namespaces", json=change), 422)


async def test_a_graph_writes_to_the_same_store(run, get, root):
    await run("notebook", {"book": root, "page": "p1", "note": "hello"})
    assert (await get(["notebook", root], "p1")).json()["value"] == {"note": "hello"}


async def test_sdk_round_trip(sdk, root):
    await sdk.store.put_item([root, "a"], key="k", value={"x": 1}, ttl=5)
    assert (await sdk.store.get_item([root, "a"], key="k"))["value"] == {"x": 1}
    found = await sdk.store.search_items([root], filter={"x": 1}, limit=5)
    assert [item["key"] for item in found["items"]] == ["k"]
    listed = await sdk.store.list_namespaces(prefix=[root], max_depth=2)
    assert listed["namespaces"] == [[root, "a"]]
    await sdk.store.delete_item([root, "a"], key="k")
    assert await sdk.store.get_item([root, "a"], key="k") is None
