"""Calls at the end of runs: queued with the end, taken for an attempt, noted."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.webhooks.calls import Webhooks, content

from .runs import Desk
from .until import until

URL = "http://example.com/hook?x=1"
RECEIVER = "example.com"
LEASE = 60.0


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    yield desk
    await desk.leave()


@pytest.fixture
def calls(client: Client) -> Webhooks:
    return Webhooks(client)


async def start(desk: Desk, thread: str | None, url: str = URL, **fields: Any) -> tuple[str, str]:
    """A running run with a webhook, and its token."""
    await desk.create(thread, webhook=url, **fields)
    ((run, token),) = await desk.claim()
    return run, token


async def ended(desk: Desk, url: str = URL) -> str:
    """A run whose call is due."""
    run, token = await start(desk, await desk.open(), url)
    await desk.finish(run, token, content=b'{"run_id":"r","values":{"n":1},"status":"running"}')
    return run


async def payload(calls: Webhooks, request: str = "a") -> dict[str, Any]:
    """What the due call says."""
    call, _ = await calls.claim(request, LEASE)
    assert call
    found: dict[str, Any] = json.loads(await calls.body(call, 0))
    return found


async def test_a_run_without_a_webhook_calls_nobody(desk: Desk, calls: Webhooks) -> None:
    run = await desk.create(await desk.open())
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    assert await calls.claim("a", LEASE) == (None, -1)
    with pytest.raises(NotFound):
        await calls.read(run)


async def test_the_end_of_a_run_queues_its_call_with_all_that_it_says(desk: Desk, calls: Webhooks) -> None:
    run = await ended(desk)
    call, _ = await calls.claim("a", LEASE)
    assert call and (call.run_id, call.url, call.attempt) == (run, URL, 1)
    said = json.loads(await calls.body(call, 1_000))
    started, over = said.pop("run_started_at"), said.pop("run_ended_at")
    assert said.pop("updated_at") == over >= started
    assert said == {
        "run_id": "r", "status": "success", "values": {"n": 1}, "webhook_sent_at": "1970-01-01T00:00:01.000000+00:00",
    }  # fmt: skip


async def test_an_error_is_told(desk: Desk, calls: Webhooks) -> None:
    run, token = await start(desk, await desk.open())
    error = b'{"error":"ValueError","message":"no"}'
    await desk.finish(run, token, "error", error=error, content=b'{"values":null}')
    said = await payload(calls)
    assert (said["status"], said["error"]) == ("error", {"error": "ValueError", "message": "no"})


async def test_a_run_that_is_rolled_back_calls_although_it_is_gone(desk: Desk, calls: Webhooks) -> None:
    thread = await desk.open()
    run, token = await start(desk, thread)
    await cancel(desk.client, thread, run, "rollback", "test")
    await desk.finish(run, token, "interrupted", handled="rollback", content=b'{"values":null}')
    assert await desk.status(run) is None
    assert (await payload(calls))["status"] == "rollback"


async def test_a_run_that_never_ran_calls_nobody(desk: Desk, calls: Webhooks) -> None:
    thread = await desk.open()
    run = await desk.create(thread, webhook=URL)
    await cancel(desk.client, thread, run, "interrupt", "test")
    assert await desk.status(run) == "interrupted"
    assert await calls.claim("a", LEASE) == (None, -1)


async def crash(desk: Desk, times: int) -> None:
    """So many workers die with what they claim."""
    for _ in range(times):
        await desk.lease(desk.worker)
        await desk.claim()
        await desk.client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=desk.max_crashes)
    await desk.lease(desk.worker)


async def test_a_run_that_no_worker_could_end_calls_with_what_is_stored(desk: Desk, calls: Webhooks) -> None:
    thread = await desk.open()
    run = await desk.create(thread, webhook=URL, input={"a": [1]}, metadata={"m": 1})
    await crash(desk, 6)  # three executing it, three settling it
    assert await desk.status(run) == "error"
    said = await payload(calls)
    assert (said["run_id"], said["status"], said["values"]) == (run, "error", None)
    assert said["error"]["error"] == "WorkerCrashed"
    assert (said["kwargs"]["input"], said["metadata"]["m"]) == ({"a": [1]}, 1)


async def test_its_call_says_less_when_its_record_is_gone(desk: Desk, calls: Webhooks) -> None:
    thread = await desk.open()
    run, _ = await start(desk, thread)
    await cancel(desk.client, thread, run, "rollback", "test")
    await desk.client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=3)
    await crash(desk, 2)
    assert await desk.status(run) is None
    said = await payload(calls)
    assert (said["run_id"], said["thread_id"], said["status"], said["values"]) == (run, thread, "rollback", None)


async def test_a_call_is_in_one_senders_hands_and_due_again_when_that_dies(desk: Desk, calls: Webhooks) -> None:
    run = await ended(desk)
    call, _ = await calls.claim("a", LEASE)
    again, _ = await calls.claim("a", LEASE)  # the answer was lost
    assert again == call
    other, wait = await calls.claim("b", LEASE)
    assert other is None and 0 < wait <= LEASE
    keys = desk.client.keys
    await desk.client.command("ZADD", keys.webhooks_to(RECEIVER), 1, run)
    await desk.client.command("ZADD", keys.webhooks(), 1, RECEIVER)
    second, _ = await calls.claim("b", LEASE)
    assert call and second and (second.run_id, second.attempt) == (run, 2)
    # What the first sender says now does not count: the call is in other hands.
    assert not await calls.note(call, "failed", "HTTP 404")
    assert await calls.note(second, "delivered", "HTTP 200")
    assert not await calls.note(second, "delivered", "HTTP 200")
    record = await calls.read(run)
    assert (record.outcome, [(bool(a.ended_at), a.said) for a in record.attempts]) == (
        "delivered",
        [(False, None), (True, "HTTP 200")],
    )
    assert await calls.claim("c", LEASE) == (None, -1)


async def test_another_attempt_comes_in_its_time(desk: Desk, calls: Webhooks) -> None:
    await ended(desk)
    call, _ = await calls.claim("a", LEASE)
    assert call
    await calls.note(call, "waiting", "HTTP 503", delay=0.05)
    _, wait = await calls.claim("b", LEASE)
    assert 0 < wait <= 0.05

    async def due() -> bool:
        return (await calls.claim("b", LEASE))[0] is not None

    await until(due, "it is due again")


async def test_what_failed_is_kept_for_a_time_with_what_it_said(desk: Desk, calls: Webhooks, client: Client) -> None:
    run = await ended(desk)
    call, _ = await calls.claim("a", LEASE)
    assert call
    await calls.note(call, "failed", "HTTP 404")
    assert await client.command("ZRANGE", client.keys.webhooks_failed(), 0, -1) == [run.encode()]
    assert await client.command("HEXISTS", client.keys.webhook(run), "content")
    assert 0 < await client.command("TTL", client.keys.webhook(run)) <= 86_400
    assert (await calls.read(run)).outcome == "failed"


async def test_a_call_whose_record_is_gone_holds_up_nobody(desk: Desk, calls: Webhooks, client: Client) -> None:
    run = await ended(desk)
    await client.command("ZADD", client.keys.webhooks_to(RECEIVER), 1, "gone")
    await client.command("ZADD", client.keys.webhooks(), 1, RECEIVER, 1, "nobody")
    call, _ = await calls.claim("a", LEASE)
    assert call and call.run_id == run
    assert await client.command("ZRANGE", client.keys.webhooks(), 0, -1) == [RECEIVER.encode()]
    assert await client.command("ZRANGE", client.keys.webhooks_to(RECEIVER), 0, -1) == [run.encode()]


async def test_receivers_have_queues_of_their_own(desk: Desk, calls: Webhooks, client: Client) -> None:
    first = [await ended(desk) for _ in range(3)]
    other = await ended(desk, "https://user:secret@Other.example:8443?x=1")
    call, _ = await calls.claim("a", LEASE)
    assert call and (call.run_id, call.receiver) == (first[0], RECEIVER)

    call, _ = await calls.claim("b", LEASE, [RECEIVER])

    assert call and (call.run_id, call.receiver) == (other, "other.example:8443")
    _, wait = await calls.claim("c", LEASE, [RECEIVER])
    assert 0 < wait <= LEASE  # the one in our own hands
    assert await calls.claim("c", LEASE, [RECEIVER, "other.example:8443"]) == (None, -1)
    assert await calls.note(call, "delivered", "HTTP 200")
    assert await client.command("ZRANGE", client.keys.webhooks(), 0, -1) == [RECEIVER.encode()]
    for request, run in zip("de", first[1:], strict=True):
        call, _ = await calls.claim(request, LEASE)
        assert call and call.run_id == run


def test_a_call_that_would_be_too_large_leaves_out_the_largest_parts() -> None:
    run, large = b'{"run_id":"r","kwargs":{}}', b'"' + b"x" * 16 * 1024 * 1024 + b'"'
    assert json.loads(content(run, b'{"a":1}')) == {"run_id": "r", "kwargs": {}, "values": {"a": 1}}
    assert json.loads(content(run, large)) == {"run_id": "r", "kwargs": {}, "values": None}
    assert json.loads(content(b'{"run_id":"r","kwargs":' + large + b"}", b"{}")) == {"run_id": "r", "values": None}
