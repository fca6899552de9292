"""Calls at the end of runs, sent to a real receiver."""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.telemetry.upkeep_metrics import UPKEEP
from lineshaft.webhooks.calls import CallRecord, Webhooks
from lineshaft.webhooks.policy import UrlPolicy, WebhookConfig
from lineshaft_worker.sender import ATTEMPTS, Sender
from tests.samples import Since
from tests.shared.runs import Desk
from tests.shared.until import until

from .receiver import Receiver, receiving

OPEN = WebhookConfig(url=UrlPolicy(require_https=False, disable_loopback=False))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Calls to this machine, and a second attempt that comes soon."""
    return msgspec.structs.replace(settings, langgraph_webhooks=OPEN, lineshaft_webhook_retry_seconds=0.05)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    await desk.open()
    yield desk
    await desk.leave()


Send = Callable[..., Awaitable[None]]


@pytest.fixture
async def send(client: Client) -> AsyncIterator[Send]:
    """Starts a sender with other settings."""
    async with contextlib.AsyncExitStack() as stack:

        async def send(**changes: Any) -> None:
            client.settings = msgspec.structs.replace(client.settings, **changes)
            stack.push_async_callback(_end, asyncio.create_task(Sender(client).run()))

        yield send


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def ended(desk: Desk, url: str) -> str:
    """A run that has ended, and calls this."""
    thread = await desk.open()
    await desk.create(thread, webhook=url)
    ((run, token),) = await desk.claim()
    await desk.finish(run, token, content=msgspec.json.encode({"run_id": run, "values": {"n": 1}}))
    return run


async def settled(desk: Desk, run: str, outcome: str = "delivered") -> CallRecord:
    """The call's record once it is no longer on its way."""
    calls = Webhooks(desk.client)

    async def over() -> bool:
        return (await calls.read(run)).outcome != "waiting"

    await until(over, "the call is over")
    record = await calls.read(run)
    assert record.outcome == outcome, record
    return record


def words(record: CallRecord) -> list[str | None]:
    return [attempt.said for attempt in record.attempts]


async def test_a_call_says_who_it_is_and_can_be_verified(
    desk: Desk, send: Send, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_WEBHOOK_TOKEN", "t0ken")
    config = msgspec.structs.replace(
        OPEN,
        headers={"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}", "X-Lineshaft-Delivery": "forged"},
        allowed_fields=["run_id", "status", "webhook_sent_at", "gone"],
    )
    await send(langgraph_webhooks=config, lineshaft_webhook_secret="s3cret")
    run = await ended(desk, receiver.url + "?x=%2F&y=1")
    assert words(await settled(desk, run)) == ["HTTP 200"]
    (call,) = receiver.calls
    assert call.path == "/hook?x=%2F&y=1"
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["Authorization"] == "Bearer t0ken"
    assert (call.headers.getall("X-Lineshaft-Delivery"), call.headers["X-Lineshaft-Attempt"]) == ([run], "1")  # type: ignore[attr-defined]
    assert call.headers["User-Agent"].startswith("lineshaft/")
    time, mac = (part.partition("=")[2] for part in call.headers["X-Lineshaft-Signature"].split(","))
    assert hmac.new(b"s3cret", f"{time}.".encode() + call.body, hashlib.sha256).hexdigest() == mac
    assert call.payload.keys() == {"run_id", "status", "webhook_sent_at"}


async def test_without_a_secret_nothing_is_signed(desk: Desk, send: Send, receiver: Receiver) -> None:
    await send()
    await settled(desk, await ended(desk, receiver.url))
    assert "X-Lineshaft-Signature" not in receiver.headers[0]


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
async def test_a_receiver_that_may_take_it_later_is_called_again(
    desk: Desk, send: Send, receiver: Receiver, status: int
) -> None:
    receiver.answers = [web.Response(status=status)]
    await send()
    run = await ended(desk, receiver.url)
    assert words(await settled(desk, run)) == [f"HTTP {status}", "HTTP 200"]
    sent = [(headers["X-Lineshaft-Delivery"], headers["X-Lineshaft-Attempt"]) for headers in receiver.headers]
    assert sent == [(run, "1"), (run, "2")]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_receiver_that_refuses_is_not_asked_again(
    desk: Desk, send: Send, receiver: Receiver, status: int
) -> None:
    receiver.answers = [web.Response(status=status)]
    await send()
    assert words(await settled(desk, await ended(desk, receiver.url), "failed")) == [f"HTTP {status}"]
    assert len(receiver.calls) == 1


async def test_a_redirect_is_not_followed(desk: Desk, send: Send, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=307, headers={"Location": "/elsewhere"})]
    await send()
    record = await settled(desk, await ended(desk, receiver.url), "failed")
    assert words(record) == ["HTTP 307: redirects are not followed"]
    assert [call.path for call in receiver.calls] == ["/hook"]


async def test_a_receiver_may_ask_for_time(desk: Desk, send: Send, receiver: Receiver, client: Client) -> None:
    receiver.answers = [web.Response(status=503, headers={"Retry-After": "600"})]
    await send()
    run = await ended(desk, receiver.url)

    async def noted() -> bool:
        return words(await Webhooks(client).read(run)) == ["HTTP 503"]

    await until(noted, "the attempt is noted")
    _, wait = await Webhooks(client).claim("look", 60)
    assert 590 < wait <= 600


async def test_a_slow_receiver_holds_up_no_other(desk: Desk, send: Send, receiver: Receiver) -> None:
    receiver.gate.clear()
    await send()
    slow = [await ended(desk, receiver.url) for _ in range(10)]
    await until(lambda: receiver.held == 2, "the slow one is called")
    async with receiving() as quick:
        await settled(desk, await ended(desk, quick.url))
    assert receiver.held == 2
    receiver.gate.set()
    for run in slow:
        await settled(desk, run)
    assert len(receiver.calls) == 10


async def test_a_receiver_that_says_nothing_is_left_and_called_again(
    desk: Desk, send: Send, receiver: Receiver
) -> None:
    receiver.gate.clear()
    await send(lineshaft_webhook_timeout_seconds=0.2)
    run = await ended(desk, receiver.url)
    await until(lambda: len(receiver.calls) == 2, "it is called again")
    receiver.gate.set()
    record = await settled(desk, run)
    assert words(record)[0] == "no answer within 0.2 s"


async def test_nobody_there_is_tried_again_and_given_up_in_the_end(desk: Desk, send: Send, client: Client) -> None:
    run = await ended(desk, "http://127.0.0.1:9/hook")
    await client.command("HSET", client.keys.webhook(run), "attempts", ATTEMPTS - 2)
    since = Since(UPKEEP)
    await send(lineshaft_webhook_retry_seconds=0.0001)
    *_, before, last = words(await settled(desk, run, "failed"))
    assert before and last and before.startswith("ClientConnectorError")
    assert await client.command("ZRANGE", client.keys.webhooks_failed(), 0, -1) == [run.encode()]
    # It counts when Redis has answered, which we may have seen before.
    await until(lambda: since.more("webhook_attempts_total") == {"waiting": 1, "failed": 1}, "both calls are counted")
    assert since.more("webhook_duration_seconds_count") == {"": 2}


async def test_a_call_that_kills_its_senders_is_given_up(
    desk: Desk, send: Send, receiver: Receiver, client: Client
) -> None:
    run = await ended(desk, receiver.url)
    await client.command("HSET", client.keys.webhook(run), "attempts", ATTEMPTS)
    await send()
    assert words(await settled(desk, run, "failed"))[-1] == "given up"
    assert receiver.calls == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433"])
async def test_an_address_is_looked_at_before_it_is_called(
    desk: Desk, send: Send, receiver: Receiver, host: str
) -> None:
    """Whatever its name: a name may lead elsewhere than when the run was created, and the policy may have changed."""
    run = await ended(desk, f"http://{host}:{receiver.port}/hook")
    await send(langgraph_webhooks=WebhookConfig())
    (said,) = words(await settled(desk, run, "failed"))
    assert said and said.startswith("refused: its host is at ") and said.endswith("(loopback)")
    assert receiver.calls == []


async def test_many_calls_are_sent_a_few_at_a_time(desk: Desk, send: Send) -> None:
    async with contextlib.AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving()) for _ in range(5)]
        for receiver in receivers:
            receiver.gate.clear()
        runs = [await ended(desk, receiver.url) for receiver in receivers for _ in range(4)]
        await send()
        await until(lambda: sum(receiver.held for receiver in receivers) == 8, "all slots are taken")
        assert sorted(receiver.held for receiver in receivers) == [0, 2, 2, 2, 2]
        for receiver in receivers:
            receiver.gate.set()
        for run in runs:
            await settled(desk, run)
        called = [headers["X-Lineshaft-Delivery"] for receiver in receivers for headers in receiver.headers]
        assert sorted(called) == sorted(runs)


async def test_a_call_is_sent_as_soon_as_its_run_ends(desk: Desk, send: Send, receiver: Receiver) -> None:
    await send()

    async def waits() -> bool:
        return b"cmd=blpop" in await desk.client.command("CLIENT", "LIST")

    await until(waits, "the sender waits for a call")
    began = asyncio.get_running_loop().time()
    await settled(desk, await ended(desk, receiver.url))
    assert asyncio.get_running_loop().time() - began < 2.5  # seconds; it looks by itself after four at the earliest
