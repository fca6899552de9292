"""Protocol v2: a thread's events, made of its log."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_protocol import protocol as definitions
from pydantic import TypeAdapter

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel

from .gateway import Gateway, serving
from .subscriber import ALL_KINDS, begin, lifecycle, replayed, run, shown, subscribed, whole


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


# events
async def test_a_run_is_framed_by_its_lifecycle(gateway: Gateway) -> None:
    thread = await gateway.thread()
    async with subscribed(gateway, thread) as subscriber:
        attempt = await run(gateway, thread, ("values", {"n": 1}))
        events = await subscriber.read(3)
    assert shown(events) == [
        ("lifecycle", "", {"event": "running", "graph_name": "g"}),
        ("values", "", {"n": 1}),
        ("lifecycle", "", {"event": "completed", "graph_name": "g"}),
    ]
    assert [e["event_id"] for e in events[::2]] == [
        f"synth:{attempt.run}:lc||running", f"synth:{attempt.run}:lc||completed",
    ]  # fmt: skip


async def test_all_kinds_of_events(gateway: Gateway) -> None:
    events = await whole(gateway, await gateway.thread())
    plain = [(name.partition("|")[0], name.partition("|")[2], data) for name, data in ALL_KINDS]
    mirrored = [event for event in shown(events) if event[1] == "tools:c|1"]
    assert [event for event in shown(events) if event not in mirrored][1:-1] == plain
    assert [data["event"] for _, _, data in mirrored] == [
        "message-start", "content-block-start", "content-block-delta", "content-block-finish", "message-finish",
    ]  # fmt: skip
    assert mirrored[0][2] == {"event": "message-start", "role": "tool", "id": "tool-c|1"}
    assert mirrored[3][2]["content"] == {"type": "text", "text": "3"}
    assert lifecycle(events) == ["running", "interrupted"]


async def test_events_are_what_the_protocol_says(gateway: Gateway) -> None:
    check = TypeAdapter(definitions.Event)
    for event in await whole(gateway, await gateway.thread()):
        check.validate_python(event)
        assert event["params"]["timestamp"] > 1_600_000_000_000


# how a run ends
@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({}, ["completed"]),
        ({"thread_status": "interrupted"}, ["interrupted"]),
        ({"status": "error", "error": b'{"error":"E","message":"boom"}', "entries": [
            "error", "d", b'{"error":"E","message":"boom"}',
        ]}, ["failed"]),
    ],
)  # fmt: skip
async def test_how_a_run_ends(gateway: Gateway, end: dict[str, Any], told: list[str]) -> None:
    thread = await gateway.thread()
    await run(gateway, thread, **end)
    events = await replayed(gateway, thread, 1 + len(told))
    assert lifecycle(events) == ["running", *told]
    assert events[-1]["params"]["data"].get("error") == ("boom" if told == ["failed"] else None)


async def test_an_error_without_words_is_told_by_its_kind(gateway: Gateway) -> None:
    thread = await gateway.thread()
    error = b'{"error":"TimeoutError","message":""}'
    await run(gateway, thread, status="timeout", error=error, entries=["error", "d", error])
    assert (await replayed(gateway, thread, 2))[1]["params"]["data"]["error"] == "TimeoutError"


async def test_a_cancelled_run_is_over_for_its_clients(gateway: Gateway) -> None:
    """With `interrupted` alone their iterators wait for it to go on."""
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await cancel(gateway.client, thread, attempt.run, "interrupt", "a test wants it")
    await attempt.finish("interrupted", handled="interrupt")
    assert lifecycle(await replayed(gateway, thread, 3)) == ["running", "interrupted", "completed"]


async def test_a_waiting_run_that_is_cancelled_is_over_too(gateway: Gateway) -> None:
    thread = await gateway.thread()
    waiting = await gateway.desk.create(thread, protocol_v2=True, after_seconds=60)
    await cancel(gateway.client, thread, waiting, "interrupt", "a test wants it")
    assert lifecycle(await replayed(gateway, thread, 2)) == ["interrupted", "completed"]


async def test_a_run_whose_place_is_taken_is_not_the_end(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await gateway.desk.create(thread, protocol_v2=True, multitask_strategy="interrupt")
    await attempt.finish("interrupted", handled="interrupt")
    await (await gateway.claim()).finish()
    assert lifecycle(await replayed(gateway, thread, 4)) == ["running", "interrupted", "running", "completed"]


async def test_a_further_attempt_repeats_the_id_of_its_start(gateway: Gateway) -> None:
    """So that clients, which know an event by its id, count one run."""
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.crash()
    await (await gateway.claim()).finish()
    first, second, _ = await replayed(gateway, thread, 3)
    assert first["event_id"] == second["event_id"] and first["seq"] < second["seq"]


async def test_a_run_that_was_taken_back_is_not_replayed(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await begin(gateway, thread)
    await attempt.emit("values", 1)
    await cancel(gateway.client, thread, attempt.run, "rollback", "a test wants it")
    await attempt.finish("interrupted", handled="rollback")
    await run(gateway, thread, ("values", 2))
    assert [data for method, _, data in shown(await replayed(gateway, thread, 3)) if method == "values"] == [2]
