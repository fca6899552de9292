"""A call at the end of a run whose sender is killed after the receiver has got it."""

from collections.abc import AsyncIterator

import pytest
from langgraph_sdk import get_client

from tests.system.fleet import Fleet
from tests.system.journal import Journal, until
from tests.worker.receiver import Receiver, receiving

TIMEOUT = 2.0  # seconds for one call; twice as long it is in the hands of its sender


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def test_a_call_whose_sender_is_killed_is_sent_again_under_the_same_id(
    journal: Journal, receiver: Receiver
) -> None:
    env = {
        "LINESHAFT_WEBHOOK_TIMEOUT_SECONDS": str(TIMEOUT),
        "LINESHAFT_WEBHOOK_SECRET": "secret",
        "LANGGRAPH_WEBHOOKS": '{"url": {"disable_loopback": false, "require_https": false}}',
    }
    receiver.gate.clear()
    with Fleet(env=env) as fleet:
        fleet.gateway()
        first = fleet.worker()
        await fleet.ready()
        async with get_client(url=fleet.url) as sdk:
            thread = (await sdk.threads.create())["thread_id"]
            run = await sdk.runs.create(thread, "mark", input=journal.input(), webhook=receiver.url)
            await until(lambda: receiver.held == 1, "the receiver has the call, and its sender waits for the answer")
            first.kill()
            await until(lambda: receiver.held == 0, "the connection is gone")
            receiver.gate.set()
            second = fleet.worker()
            await until(lambda: second.events("webhook delivered"), "another has sent it")
            [delivered] = second.events("webhook delivered")
    assert [headers["X-Lineshaft-Delivery"] for headers in receiver.headers] == [run["run_id"]] * 2
    assert [headers["X-Lineshaft-Attempt"] for headers in receiver.headers] == ["1", "2"]
    assert all(headers["X-Lineshaft-Signature"].startswith("t=") for headers in receiver.headers)
    before, after = (call.payload for call in receiver.calls)
    assert before.pop("webhook_sent_at") < after.pop("webhook_sent_at")
    assert before == after
    assert after["values"]["done"] == [0]
    assert (delivered["run_id"], delivered["attempt"], delivered["said"]) == (run["run_id"], 2, "HTTP 200")
