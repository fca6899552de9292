"""Batches: all of the runs are created, or none."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.errors import BadRequest, Invalid, LineshaftError, NotFound, TooLarge, Unavailable
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import MAX_BATCH, Created

from . import redis_state
from .runs import Desk

GOOD = {"assistant_id": "g"}


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    await desk.open()
    yield desk
    for run, token in await desk.claim(room=1000):
        await desk.finish(run, token)
    await desk.leave()


async def send(desk: Desk, *requests: dict[str, Any]) -> list[Created]:
    decoded = msgspec.json.decode(msgspec.json.encode(requests), type=list[RunCreate])
    return await desk.runs.create_batch(decoded, request_id="q")


async def test_each_run_has_a_thread_of_its_own_and_a_turn(desk: Desk) -> None:
    made = await send(desk, {**GOOD, "input": {"n": 1}}, {**GOOD, "input": {"n": 2}, "on_completion": "keep"}, GOOD)
    assert len({one.run.thread_id for one in made}) == 3
    assert [one.run.kwargs["temporary"] for one in made] == [True, False, True]
    for one, expected in zip(made, ({"n": 1}, {"n": 2}, None), strict=True):
        shown = await desk.runs.get(one.run.thread_id, one.run.run_id)
        assert msgspec.json.encode(shown) == msgspec.json.encode(one.run)
        assert msgspec.json.decode(msgspec.json.encode(shown.kwargs["input"])) == expected
    claimed = await desk.claim()
    assert {run for run, _ in claimed} == {one.run.run_id for one in made}
    for run, token in claimed:
        await desk.finish(run, token)
    desk.adopt(made[1].run.thread_id)


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        ({"assistant_id": "nope"}, Invalid, r"Invalid assistant: 'nope'\. .* - at `\$\[1\]`"),
        ({"assistant_id": uuid7()}, NotFound, r"Thread or assistant not found - at `\$\[1\]`"),
        ({"assistant_id": "broken"}, Invalid, r"Graph broken does not load: no module"),
        ({**GOOD, "command": {"resume": 1}}, BadRequest, r"needs a thread.* - at `\$\[1\]`"),
        ({**GOOD, "checkpoint_id": "x"}, Invalid, r"must be a UUID - at `\$\[1\]`"),
    ],
)
async def test_one_bad_run_and_none_is_made(
    desk: Desk, bad: dict[str, Any], error: type[LineshaftError], text: str
) -> None:
    """The reference made those before it, and said 404."""
    await AssistantStore(desk.client).ensure_system("broken", "broken", None)
    await desk.client.command("HSET", desk.client.keys.graph("broken"), "error", "no module")
    before = await redis_state.read(desk.client)
    with pytest.raises(error, match=text):
        await send(desk, GOOD, bad, GOOD)
    now = await redis_state.read(desk.client)
    assert {key for key in now if "ls:memory" not in key} == before.keys() - {"ls:memory (expires)"}
    await desk.client.command("DEL", desk.client.keys.graph("broken"))


async def test_a_full_redis_takes_none(desk: Desk) -> None:
    await desk.client.command("SET", desk.client.keys.memory(), "1 of 1 MiB (maxmemory)", "PX", 60_000)
    with pytest.raises(Unavailable, match="nearly full"):
        await send(desk, GOOD, GOOD)
    assert await desk.client.command("ZCARD", desk.client.keys.threads_temporary()) == 0


async def test_bounds(desk: Desk) -> None:
    with pytest.raises(Invalid, match="a batch has one run at least"):
        await send(desk)
    with pytest.raises(TooLarge, match=rf"{MAX_BATCH + 1} runs in a batch \(limit: {MAX_BATCH}\); send several"):
        await send(desk, *[GOOD] * (MAX_BATCH + 1))
    assert len(await send(desk, *[GOOD] * MAX_BATCH)) == MAX_BATCH


async def test_large_and_small_inputs_arrive_whole(desk: Desk) -> None:
    """No script moves more than 256 KiB at once, however many runs share it."""
    texts = ["a" * 3_000_000, "b", "c" * 100_000]
    made = await send(desk, *({**GOOD, "input": text} for text in texts))
    for one, text in zip(made, texts, strict=True):
        run = await desk.runs.get(one.run.thread_id, one.run.run_id)
        assert msgspec.json.decode(msgspec.json.encode(run.kwargs["input"])) == text
        assert await desk.client.command("TTL", desk.client.keys.run_input(run.run_id)) == -1


async def test_a_run_that_names_a_running_one_is_not_nested(desk: Desk) -> None:
    """Nobody waits for it in a slot."""
    outer = await desk.create(await desk.open())
    ((_, token),) = await desk.claim()
    await send(desk, {**GOOD, "config": {"configurable": {"run_id": outer}}})
    assert await desk.client.command("ZCARD", desk.client.keys.queue("overflow")) == 0
    await desk.finish(outer, token)
