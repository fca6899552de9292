"""Health, version, metrics, docs, CORS and generic HTTP behaviour."""

from tests.contract.resources.checks import assert_error, unique


async def test_health(api):
    for path in ("/ok", "/", "/ok?check_db=1"):
        response = await api.get(path)
        assert response.status_code == 200
        assert response.json()["ok"] is True


async def test_info_reports_version_and_flags(api):
    body = (await api.get("/info")).json()
    assert isinstance(body["version"], str) and body["version"]
    assert isinstance(body["langgraph_py_version"], str)
    assert body["flags"]["assistants"] is True
    assert body["flags"]["crons"] is True
    assert isinstance(body["flags"]["langsmith"], bool)
    assert isinstance(body["host"], dict)


async def test_metrics_default_is_prometheus_text(api):
    response = await api.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE" in response.text


async def test_metrics_json_has_queue_and_workers(api):
    response = await api.get("/metrics", params={"format": "json"})
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert isinstance(body["queue"]["n_pending"], int)
    assert isinstance(body["queue"]["n_running"], int)
    assert {"max", "active", "available"} <= set(body["workers"])


async def test_docs_and_openapi(api):
    response = await api.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")

    response = await api.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    paths = response.json()["paths"]
    for path in ("/assistants", "/threads", "/threads/search", "/runs/crons", "/store/items", "/info"):
        assert path in paths


async def test_wrong_method_is_405_with_allow(api):
    for method, path in (("GET", "/threads"), ("PUT", "/threads"), ("POST", "/store/items")):
        response = await api.request(method, path)
        assert_error(response, 405)
        assert response.headers["allow"]


async def test_preflight_allows_any_origin_by_default(api):
    response = await api.options(
        "/threads",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key,content-type",
        },
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "DELETE" in response.headers["access-control-allow-methods"]
    assert "x-api-key" in response.headers["access-control-allow-headers"].lower()


async def test_cross_origin_responses_expose_paging_headers(api):
    response = await api.post("/assistants/search", json={}, headers={"Origin": "https://app.example"})
    assert response.headers["access-control-allow-origin"] == "*"
    exposed = response.headers["access-control-expose-headers"].lower()
    for name in ("x-pagination-total", "x-pagination-next", "content-location"):
        assert name in exposed

    response = await api.get("/threads/bad", headers={"Origin": "https://app.example"})
    assert response.status_code == 422
    assert response.headers["access-control-allow-origin"] == "*"


async def test_unknown_fields_are_ignored(api, tag):
    response = await api.post("/threads", json={"metadata": {"tag": tag}, "surprise": 1})
    assert response.status_code == 200
    assert "surprise" not in response.json()


async def test_id_must_be_a_uuid_and_exist(api):
    for method, path in (
        ("GET", "/assistants/{id}"),
        ("DELETE", "/assistants/{id}"),
        ("GET", "/assistants/{id}/graph"),
        ("GET", "/assistants/{id}/schemas"),
        ("GET", "/assistants/{id}/subgraphs"),
        ("GET", "/threads/{id}"),
        ("DELETE", "/threads/{id}"),
        ("GET", "/threads/{id}/state"),
        ("GET", "/threads/{id}/history"),
        ("GET", "/runs/crons/{id}"),
        ("DELETE", "/runs/crons/{id}"),
    ):
        assert_error(await api.request(method, path.format(id="not-a-uuid")), 422)
        assert_error(await api.request(method, path.format(id=unique())), 404)
