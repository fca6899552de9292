"""Gateways that stop, in order or not, while clients wait for their answers: another one goes on."""

import asyncio
import os
import signal
import socket
import time
import warnings
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.fleet import Fleet, Gateway
from tests.system.journal import PATIENCE, Journal, until
from tests.system.line import Line
from tests.system.watcher import Watcher

pytestmark = [
    pytest.mark.xdist_group("faults"),
    # The official client says so when it asks another gateway.
    pytest.mark.filterwarnings(
        "ignore:Request failed, attempting reconnect", "ignore:Reconnecting without a Last-Event"
    ),
]
# Seconds after which a stopping gateway is gone: its grace (2 here), one to cut off what is left, and a busy machine's.
GONE = 10.0
# Seconds that it has where a test is about what ends in time.
LONG = 60.0


@pytest.fixture
def server(fleet: Fleet) -> Fleet:
    return fleet


async def exit_code(gateway: Gateway) -> int:
    return await asyncio.to_thread(gateway.wait)


async def stop(gateway: Gateway, signum: signal.Signals, balancer: Line, fleet: Fleet) -> None:
    """Stop it; whoever comes from now on gets to the other."""
    balancer.target = fleet.gateways[0].port
    os.kill(gateway.pid, signum)


@pytest.mark.parametrize("grace", [LONG])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
async def test_a_resumable_stream_goes_on_at_another_gateway(
    fleet: Fleet,
    stopping: Gateway,
    balancer: Line,
    *,
    through: LangGraphClient,
    journal: Journal,
    signum: signal.Signals,
) -> None:
    """Its client misses nothing and sees nothing twice, and its run goes on although it is to end with its client."""
    thread_id = (await through.threads.create())["thread_id"]
    request = {"input": journal.input(hold=5), "stream_mode": "updates", "on_disconnect": "cancel"}
    async with Watcher(through, thread_id, "steps", stream_resumable=True, **request) as watcher:
        await journal.wait_for("began", 5)
        await watcher.saw(4)
        began = time.monotonic()
        await stop(stopping, signum, balancer, fleet)
        assert await exit_code(stopping) == (0 if signum == signal.SIGTERM else -signum)
        # It had nothing to wait for.
        assert time.monotonic() - began < LONG / 2
        journal.open_gate()
        await watcher.end()
    assert watcher.attempts == [1]
    assert watcher.steps == list(range(10))
    assert fleet.record(watcher.run_id)["status"] == "success"
    replay = [part async for part in through.runs.join_stream(thread_id, watcher.run_id, last_event_id="0")]
    assert replay == watcher.parts


async def test_a_wait_goes_on_at_another_gateway(
    fleet: Fleet, stopping: Gateway, balancer: Line, *, through: LangGraphClient, journal: Journal
) -> None:
    thread_id = (await through.threads.create())["thread_id"]
    waiting = asyncio.create_task(
        through.runs.wait(thread_id, "steps", input=journal.input(hold=5), on_disconnect="cancel")
    )
    await journal.wait_for("began", 5)
    began = time.monotonic()
    await stop(stopping, signal.SIGTERM, balancer, fleet)
    assert await exit_code(stopping) == 0
    assert time.monotonic() - began < GONE
    journal.open_gate()
    answer: Any = await asyncio.wait_for(waiting, PATIENCE)
    assert answer["done"] == list(range(10))
    [run] = await through.runs.list(thread_id)
    assert run["status"] == "success"


@pytest.mark.parametrize("grace", [LONG])
async def test_a_stopping_gateway_finishes_what_is_nearly_done_and_takes_nothing_new(
    fleet: Fleet, stopping: Gateway, balancer: Line, *, through: LangGraphClient, journal: Journal
) -> None:
    """A stream that cannot be resumed, and a wait."""
    threads = [str((await through.threads.create())["thread_id"]) for _ in range(2)]
    request: dict[str, Any] = {"input": journal.input(hold=9), "on_disconnect": "cancel"}
    async with Watcher(through, threads[0], "steps", stream_mode="updates", **request) as watcher:
        waiting = asyncio.create_task(through.runs.wait(threads[1], "steps", **request))
        await journal.wait_for("began", 9, times=2)
        await watcher.saw(8)
        await stop(stopping, signal.SIGTERM, balancer, fleet)
        await until(lambda: refuses(stopping), "it listens no more")
        assert stopping.running
        journal.open_gate()
        with warnings.catch_warnings():
            # The client's, when its wait breaks off. After a stream it asks for the run's status, perhaps on the very
            # connection that the gateway closes now; what a stream that broke off would miss are its last steps.
            warnings.filterwarnings("error", "Request failed, attempting reconnect")
            await watcher.end()
            answer: Any = await asyncio.wait_for(waiting, PATIENCE)
    assert await exit_code(stopping) == 0
    assert watcher.steps == list(range(10))
    assert answer["done"] == list(range(10))
    assert "Traceback" not in stopping.output


def refuses(gateway: Gateway) -> bool:
    try:
        socket.create_connection(("127.0.0.1", gateway.port)).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it stopped listening while this one waited to be taken: the next is refused
    return False


async def test_what_takes_longer_is_cut_off_and_does_not_look_like_an_answer(
    fleet: Fleet, stopping: Gateway, journal: Journal
) -> None:
    """For clients that know nothing of reconnecting; their runs go on."""
    async with httpx.AsyncClient(base_url=stopping.url, timeout=PATIENCE) as http:
        body = {"assistant_id": "steps", "input": journal.input(hold=5), "on_disconnect": "cancel"}
        thread_ids = [(await http.post("/threads", json={})).json()["thread_id"] for _ in range(2)]
        asking = [
            asyncio.create_task(http.post(f"/threads/{thread_id}/runs/{kind}", json=body))
            for thread_id, kind in zip(thread_ids, ("stream", "wait"), strict=True)
        ]
        await journal.wait_for("began", 5, times=2)
        began = time.monotonic()
        os.kill(stopping.pid, signal.SIGTERM)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(answer) for answer in answers] == [httpx.RemoteProtocolError] * 2
        assert await exit_code(stopping) == 0
        assert time.monotonic() - began < GONE
    journal.open_gate()
    async with get_client(url=fleet.url) as client:
        for thread_id in thread_ids:
            [run] = await client.runs.list(thread_id)
            await client.runs.join(thread_id, run["run_id"])
            assert fleet.record(run["run_id"])["status"] == "success"
