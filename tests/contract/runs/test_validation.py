"""Statuses for wrong requests. Every error body is `{"detail": <text>}`."""

import pytest

from tests.contract.runs.calls import new_id

KINDS = ["", "/wait", "/stream"]


async def post(http, thread, kind="", **body):
    return await http.post(f"/threads/{thread}/runs{kind}", json=body)


@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_graph_name_lists_the_known_ones(http, thread, kind):
    response = await post(http, thread, kind, assistant_id="nope")
    assert response.status_code == 422
    assert "nope" in response.json()["detail"] and "linear" in response.json()["detail"]


@pytest.mark.parametrize("kind", KINDS)
async def test_malformed_thread_id(http, kind):
    response = await post(http, "not-a-uuid", kind, assistant_id="linear")
    assert response.status_code in (400, 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("assistant_id", 5),
        ("multitask_strategy", "maybe"),
        ("stream_mode", "bogus"),
        ("stream_mode", ["values", "bogus"]),
        ("if_not_exists", "maybe"),
        ("durability", "never"),
        ("after_seconds", "soon"),
        ("interrupt_before", "a"),
        ("interrupt_after", "a"),
        ("metadata", "x"),
        ("config", "x"),
        ("config", {"recursion_limit": "x"}),
        ("config", {"tags": "x"}),
        ("context", "x"),
        ("stream_subgraphs", "x"),
        ("stream_resumable", "x"),
        ("feedback_keys", "x"),
        ("checkpoint", "x"),
        ("checkpoint_during", "x"),
        ("command", 5),
    ],
)
async def test_fields_of_the_wrong_type_or_value(http, thread, field, value):
    response = await post(http, thread, **{"assistant_id": "linear", "input": {}, field: value})
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)
    assert (await http.get(f"/threads/{thread}/runs")).json() == []


@pytest.mark.parametrize("path", ["/threads/{}/runs/wait", "/threads/{}/runs/stream"])
async def test_on_disconnect_values(http, thread, path):
    body = {"assistant_id": "linear", "input": {}, "on_disconnect": "maybe"}
    assert (await http.post(path.format(thread), json=body)).status_code == 422


async def test_on_completion_values(http):
    body = {"assistant_id": "linear", "input": {}, "on_completion": "maybe"}
    assert (await http.post("/runs", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/threads/x/runs"),
        ("GET", "/threads/{}/runs/x"),
        ("DELETE", "/threads/{}/runs/x"),
        ("POST", "/threads/{}/runs/x/cancel"),
        ("GET", "/threads/{}/runs/x/join"),
        ("GET", "/threads/{}/runs/x/stream"),
    ],
)
async def test_malformed_ids_in_the_path(http, thread, method, path):
    response = await http.request(method, path.format(thread))
    assert response.status_code == 422
    assert "UUID" in response.json()["detail"]


async def test_delete_unknown_run(http, thread):
    assert (await http.delete(f"/threads/{thread}/runs/{new_id()}")).status_code == 404


async def test_wrong_method(http, thread):
    assert (await http.put(f"/threads/{thread}/runs")).status_code == 405
