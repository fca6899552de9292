"""The official client, end to end."""

import asyncio

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.contract.runs.calls import human, new_id, slow
from tests.contract.runs.protocol_v2 import is_root_end, payloads


async def test_wait_can_return_the_run_error(sdk, thread):
    body = await sdk.runs.wait(thread, "linear", input={"fail_at": "b"}, raise_error=False)
    assert body["__error__"]["message"] == "boom at b"


async def test_stateless_wait_and_stream(sdk):
    assert await sdk.runs.wait(None, "linear", input={"log": []}) == {"log": ["a", "b", "c"]}
    parts = [p async for p in sdk.runs.stream(None, "linear", input={}, stream_mode="updates")]
    assert [p.event for p in parts] == ["metadata", "updates", "updates", "updates"]


async def test_cancel(sdk, thread):
    run = await sdk.runs.create(thread, "slow", input=slow())
    await asyncio.sleep(1.5)
    await sdk.runs.cancel(thread, run["run_id"], wait=True)
    assert (await sdk.runs.get(thread, run["run_id"]))["status"] == "interrupted"


async def test_interrupt_and_resume(sdk, thread):
    paused = await sdk.runs.wait(thread, "ask", input={"topic": "x"})
    assert paused["__interrupt__"][0]["value"] == {"question": "what about x?"}
    done = await sdk.runs.wait(thread, "ask", command={"resume": "ok"})
    assert done["answer"] == "ok"


async def test_multitask_reject_is_a_conflict(sdk, thread):
    await sdk.runs.create(thread, "slow", input=slow())
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread, "slow", input=slow(), multitask_strategy="reject")


async def test_error_classes(sdk, thread):
    with pytest.raises(NotFoundError):
        await sdk.runs.create(new_id(), "linear", input={})
    with pytest.raises(UnprocessableEntityError):
        await sdk.runs.create(thread, "nope", input={})
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread, new_id())


async def test_thread_join_stream(sdk, thread):
    async def read():
        async for part in await sdk.threads.join_stream(thread, stream_mode="lifecycle"):
            if isinstance(part.data, dict) and part.data.get("status") == "run_done":
                return part.data["run_id"]
        return None

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.3)
    run = await sdk.runs.create(thread, "linear", input={})
    assert await asyncio.wait_for(reading, 15) == run["run_id"]


async def test_protocol_v2_values_and_output(sdk):
    async with asyncio.timeout(20), sdk.threads.stream(new_id(), assistant_id="linear") as thread:
        await thread.run.start(input={"log": []})
        snapshots = [v async for v in thread.values]
        assert snapshots[-1] == {"log": ["a", "b", "c"]}
        assert await thread.output == {"log": ["a", "b", "c"]}


async def test_protocol_v2_raw_events(sdk):
    async with asyncio.timeout(20), sdk.threads.stream(assistant_id="chat") as thread:
        await thread.run.start(input=human("hi there"))
        events = []
        async for event in thread.events:
            events.append(event)
            if is_root_end(event):
                break
    deltas = [d["delta"]["text"] for d in payloads(events, "messages") if "delta" in d]
    assert "".join(deltas) == "echo: hi there"


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_protocol_v2_interrupt_and_respond(sdk, transport):
    async with (
        asyncio.timeout(30),
        sdk.threads.stream(assistant_id="ask", transport=transport) as thread,
    ):
        await thread.run.start(input={"topic": "x"})
        while not thread.interrupted:
            await asyncio.sleep(0.05)
        assert len(thread.interrupts) == 1
        await thread.run.respond("ok")
        assert (await thread.output)["answer"] == "ok"
