"""What `http` in langgraph.json changes, on the server started with langgraph.http.json."""

from tests.contract.resources.checks import assert_error


async def test_custom_middleware_wraps_every_route(http_api):
    for path in ("/custom/hello", "/ok", "/info", "/threads/bad", "/no/such/path"):
        assert (await http_api.get(path)).headers["x-fixture"] == "on"


async def test_custom_routes_appear_in_openapi(http_api):
    paths = (await http_api.get("/openapi.json")).json()["paths"]
    assert paths["/custom/hello"]["get"]["summary"] == "Say hello"
    assert "/threads" in paths


async def test_a_body_over_the_limit_is_413(http_api):
    """The server runs with HTTP_MAX_REQUEST_BODY_BYTES=200000."""
    response = await http_api.post("/threads", json={"metadata": {"text": "x" * 150_000}})
    assert response.status_code == 200
    assert_error(await http_api.post("/threads", json={"metadata": {"text": "x" * 250_000}}), 413)


def preflight(origin, method):
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-custom"}


async def test_cors_allows_the_configured_origin(http_api):
    response = await http_api.options("/threads", headers=preflight("https://app.example", "POST"))
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-max-age"] == "60"


async def test_cors_refuses_other_origins_and_methods(http_api):
    response = await http_api.options("/threads", headers=preflight("https://evil.example", "POST"))
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers
    response = await http_api.options("/threads", headers=preflight("https://app.example", "DELETE"))
    assert response.status_code == 400
    response = await http_api.get("/ok", headers={"Origin": "https://evil.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
