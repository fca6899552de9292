"""A run that is interrupted when its input is stored, but no part of the state yet."""

import asyncio
from typing import Any

import pytest

from lineshaft.threads.messages import MessageStore, NewMessage
from lineshaft_worker.checkpoints import RedisSaver

from .in_process import Office

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def stored_input(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the first checkpoint of a run is stored; from then on the run waits to be cancelled."""
    reached = asyncio.Event()
    put = RedisSaver.aput

    async def put_and_wait(self: RedisSaver, *args: Any) -> Any:
        stored = await put(self, *args)
        if not reached.is_set():
            reached.set()
            await asyncio.sleep(3600)
        return stored

    monkeypatch.setattr(RedisSaver, "aput", put_and_wait)
    return reached


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("earlier", [False, True])
async def test_posted_messages_survive_an_interrupt_before_the_first_step(
    office: Office, thread: str, stored_input: asyncio.Event, durability: str, *, earlier: bool
) -> None:
    """The run had taken them from the inbox, and the next run's input took their place in the state: they were gone."""
    messages = MessageStore(office.client)

    async def shown() -> list[Any]:
        return [message["content"] for message in (await messages.list(thread)).rows]

    before = []
    if earlier:
        stored_input.set()
        await office.run("counting", thread, {"messages": [{"role": "user", "content": "zero"}]})
        before = await shown()
        stored_input.clear()
    await messages.post(thread, NewMessage(role="user", content="one"))
    run = await office.start("counting", thread, durability=durability)
    await asyncio.wait_for(stored_input.wait(), 10)
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    assert await shown() == [*before, "one"]
    await messages.post(thread, NewMessage(role="user", content="two"))
    assert await office.run("counting", thread) == "success"
    assert await shown() == [*before, "one", "two", f"{len(before) + 2} so far"]
