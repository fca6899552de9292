"""What operators and autoscalers read of a gateway."""

import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.telemetry.metrics import render
from lineshaft_api.app import build
from lineshaft_api.metrics import HttpMetrics
from tests.shared.until import until

from .gateway import Gateway, serving


async def text_of(gateway: Gateway) -> str:
    async with gateway.http.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return await response.text()


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Samples of one name by the values of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_what_a_client_makes_up_is_in_no_label(client: Client, settings: Settings) -> None:
    made_up = uuid7()
    async with serving(client, settings) as gateway:
        await gateway.json("GET", "/threads/made-up-by-a-client", 422)
        await gateway.json("GET", f"/threads/{made_up}", 404)
        await gateway.create(await gateway.thread())
        text = await text_of(gateway)
    requests = values(text, "lineshaft_http_requests_total")
    assert requests["422", "GET", "/threads/{thread_id}"] == 1
    assert values(text, "lineshaft_queue_runs")["runs", "ready"] == 1
    assert values(text, "lineshaft_redis_up") == {(): 1}
    assert "made-up" not in text
    assert re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-", text) == []


async def test_runs_and_workers_are_told_as_json(client: Client, settings: Settings) -> None:
    async with serving(client, settings) as gateway:
        await gateway.create(await gateway.thread())
        found = await gateway.json("GET", "/metrics?format=json")
        assert (found["queue"]["n_pending"], found["queue"]["n_running"]) == (1, 0)
        assert found["queue"]["pending_unblocked_runs_wait_time_max_secs"] >= 0
        assert found["workers"] == {"max": 0, "active": 0, "available": 0}
        assert {"method": "POST", "path": "/threads/{thread_id}/runs", "status": 200, "count": 1} in found["api"][
            "http_requests_total"
        ]


async def test_what_is_refused_before_it_is_counted_is_refused_as_ever(client: Client, settings: Settings) -> None:
    async with serving(client, settings) as gateway, gateway.http.get("/ok", headers={"Expect": "wonders"}) as answer:
        assert answer.status == 417


async def test_two_gateways_tell_the_same_of_the_installation(client: Client, settings: Settings) -> None:
    async with serving(client, settings) as one, serving(client, settings) as other:
        await one.create(await one.thread())
        # Of processes, and what changes from one moment to the next.
        own = re.compile(r"process_|lineshaft_(http|build|event_loop|redis_call|redis_memory_used|queue_oldest)")
        told = [
            {line for line in (await text_of(gateway)).splitlines() if line[0] != "#" and not own.match(line)}
            for gateway in (one, other)
        ]
    assert told[0] == told[1]
    assert 'lineshaft_queue_runs{queue="runs",state="ready"} 1.0' in told[0]


async def test_a_gateway_without_redis_still_tells_its_own_numbers() -> None:
    settings = Settings(redis_uri="unix:///nowhere.sock")
    client = Client(settings)
    async with TestClient(TestServer(build(client, settings))) as api:
        assert (await api.get("/ok")).status == 200
        async with api.get("/metrics") as response:
            text = await response.text()
        assert response.status == 200
        assert values(text, "lineshaft_redis_up") == {(): 0}
        assert values(text, "lineshaft_workers") == {}
        assert values(text, "lineshaft_http_requests_total")["200", "GET", "/ok"] == 1
        assert values(text, "lineshaft_redis_errors_total")["connection",] >= 1
        assert (await api.get("/metrics?format=json")).status == 503
    await client.close()


@pytest.mark.parametrize(("seconds", "bucket"), [(0.001, "0.005"), (0.3, "0.5"), (500, "+Inf")])
def test_a_duration_counts_in_its_bucket_and_all_above(seconds: float, bucket: str) -> None:
    metrics = HttpMetrics()
    metrics.begin()
    metrics.end("GET", "/ok", 200, seconds)
    text = render(metrics.registry).decode()
    counts = dict(re.findall(r'le="([^"]+)",\S+} (\d)', text))
    limits = list(counts)
    first = limits.index(bucket)
    assert [counts[limit] for limit in limits] == ["0"] * first + ["1"] * (len(limits) - first)


def test_methods_that_clients_make_up_do_not_make_series() -> None:
    metrics = HttpMetrics()
    for method in ("FOO", "BAR"):
        metrics.begin()
        metrics.end(method, "", 405, 0.001)
    assert [(count.method, count.count) for count in metrics.counted()] == [("other", 2)]


async def test_open_streams_are_counted_by_form_and_not_timed(client: Client, settings: Settings) -> None:
    async with serving(client, settings) as gateway:
        thread = await gateway.thread()

        async def streams() -> float:
            return values(await text_of(gateway), "lineshaft_http_streams_open")["sse",]

        async def none() -> bool:
            return await streams() == 0

        async with gateway.http.get(f"/threads/{thread}/stream") as stream:
            assert (stream.status, await streams()) == (200, 1)
        await until(none, "the gateway has noticed that its client is gone")
        text = await text_of(gateway)
    assert "/threads/{thread_id}/stream" in str(values(text, "lineshaft_http_requests_total"))
    assert "/threads/{thread_id}/stream" not in str(values(text, "lineshaft_http_request_duration_seconds_count"))


async def test_a_stream_inside_http_app_is_one_stream_and_an_answer_is_none(client: Client, project: Any) -> None:
    """There are two answers to each request then: ours, and the one around it."""
    async with serving(client, project()) as gateway:
        thread = await gateway.thread()

        async def streams() -> dict[tuple[str, ...], float]:
            found = values(await text_of(gateway), "lineshaft_http_streams_open")
            return {kind: count for kind, count in found.items() if count}

        async def none() -> bool:
            return await streams() == {}

        async with gateway.http.get(f"/threads/{thread}/stream"):
            assert await streams() == {("sse",): 1}
        await until(none, "the gateway has noticed that its client is gone")
        await gateway.json("GET", "/custom/hello?name=you")
        await gateway.json("POST", "/threads/search", json={})
        assert await none()
        timed = values(await text_of(gateway), "lineshaft_http_request_duration_seconds_count")
        assert timed["POST", "/threads/search"] == 1
