"""The routes that create a run and wait for its end: one JSON value."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api import follow

from .gateway import Gateway, serving

BODY = {"assistant_id": "g"}


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)


@pytest.mark.usefixtures("quick_heartbeat")
async def test_a_wait(gateway: Gateway) -> None:
    thread = await gateway.thread()
    waiting = await gateway.ask("POST", f"/threads/{thread}/runs/wait", json=BODY)
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 1}, {"n": 2})
    await attempt.finish()
    response, body = await waiting
    location = f"/threads/{thread}/runs/{attempt.run}"
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Location"] == f"{location}/join"
    assert response.headers["Content-Location"] == location
    assert body.lstrip(b"\n") == b'{"n":2}'


@pytest.mark.usefixtures("quick_heartbeat")
async def test_a_long_wait_sends_newlines(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with gateway.http.post(f"/threads/{thread}/runs/wait", json=BODY) as response:
        assert await response.content.readexactly(2) == b"\n\n"
        attempt = await gateway.claim()
        await attempt.finish(entries=["values", "d", '{"n":1}'])
        assert (await response.content.read()).strip() == b'{"n":1}'


INTERRUPT = {"value": "go on?", "id": "1"}


@pytest.mark.parametrize(
    ("shown", "finish", "answer"),
    [
        ([("values", {"n": 1}), ("values|sub:1", {"n": 2})], {}, {"n": 1}),
        ([("values", {"n": 1, "__interrupt__": [INTERRUPT]})], {}, {"n": 1, "__interrupt__": [INTERRUPT]}),
        (
            [("values", {"n": 1}), ("error", {"error": "E", "message": "m"})],
            {},
            {"__error__": {"error": "E", "message": "m"}},
        ),
        # No values among the modes: the thread's.
        ([("updates", {"a": {"n": 1}})], {"state": b'{"values":{"n":7}}'}, {"n": 7}),
        ([("gap", {"reason": "the event is too large"})], {"state": b'{"values":{"n":8}}'}, {"n": 8}),
    ],
)
async def test_what_a_wait_answers(
    gateway: Gateway, shown: list[tuple[str, Any]], finish: dict[str, Any], answer: Any
) -> None:
    thread = await gateway.thread()
    waiting = await gateway.ask("POST", f"/threads/{thread}/runs/wait", json=BODY)
    attempt = await gateway.claim()
    for event, data in shown:
        await attempt.emit(event, data)
    await attempt.finish(**finish)
    assert await (await waiting)[0].json() == answer


async def test_a_wait_for_a_restarted_run_answers_from_its_last_attempt(gateway: Gateway) -> None:
    thread = await gateway.thread()
    waiting = await gateway.ask("POST", f"/threads/{thread}/runs/wait", json=BODY)
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 1, "__interrupt__": [INTERRUPT]})
    await attempt.crash()
    again = await gateway.claim()
    await again.emit("values", {"n": 2})
    await again.finish()
    assert (await waiting)[1] == b'{"n":2}'


@pytest.mark.parametrize(("shown", "answer"), [([{"n": 1}], b'{"n":1}'), ([], b'{"n":7}')])
async def test_a_wait_for_a_cancelled_run_answers_the_values(gateway: Gateway, shown: list[Any], answer: bytes) -> None:
    thread = await gateway.thread()
    waiting = await gateway.ask("POST", f"/threads/{thread}/runs/wait", json=BODY)
    attempt = await gateway.claim()
    if shown:
        await attempt.emit("values", *shown)
    await gateway.http.post(f"/threads/{thread}/runs/{attempt.run}/cancel")
    error = b'{"error":"UserInterrupt","message":""}'
    await attempt.finish("interrupted", handled="interrupt", error=error, state=b'{"values":{"n":7}}')
    assert (await waiting)[1] == answer


async def test_a_wait_on_a_thread_of_its_own(gateway: Gateway) -> None:
    await gateway.thread()
    for shown, answer in ((["values", "d", '{"n":1}'], b'{"n":1}'), ([], b"{}")):
        waiting = await gateway.ask("POST", "/runs/wait", json=BODY)
        attempt = await gateway.claim()
        await attempt.finish(entries=shown)
        response, body = await waiting
        assert body == answer
        location = f"/threads/{attempt.thread}/runs/{attempt.run}"
        assert response.headers["Location"] == f"{location}/join"
        # Whose connection broke asks there, when the thread has gone already.
        assert await gateway.json("GET", f"{location}/join") == await response.json()
