"""What a gateway asks of Redis has exactly one effect, and a true answer, whichever of its calls fails in between:
before Redis has it, or after Redis has done it.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.config.settings import Settings
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel, cancel_all
from lineshaft.runs.request import RunCreate
from lineshaft.runs.run import Created, RunStore
from lineshaft.store.items import ItemStore, Put
from lineshaft.threads.messages import MessageStore, NewMessage
from lineshaft.threads.thread import ThreadStore

from .lossy_line import Line, lossy_line
from .runs import Desk


@pytest.fixture
async def line(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with lossy_line(client, settings, monkeypatch) as line:
        yield line


@pytest.mark.parametrize("size", [10, 700_000])
async def test_a_run_is_created_once(line: Line, client: Client, size: int) -> None:
    async def scene(thread: str) -> Any:
        desk = Desk(client)

        async def act(failing: Client) -> Any:
            desk.client, desk.runs = failing, RunStore(failing)
            return await desk.create(thread, input={"text": "x" * size})

        async def check(run: str) -> None:
            (shown,) = await RunStore(client).page(thread, limit=10, offset=0)
            assert (shown.run_id, shown.status) == (run, "pending")
            assert len(bytes(shown.kwargs["input"])) > size
            assert await client.command("TTL", client.keys.run_input(run)) == -1
            assert await client.command("ZCARD", client.keys.thread_waiting(thread)) == 1

        return act, check

    await line.at_every_call(scene)


async def test_a_stateless_run_is_created_once(line: Line, client: Client) -> None:
    async def scene(_: str) -> Any:
        before = await client.command("ZCARD", client.keys.queue("runs"))

        async def act(failing: Client) -> str:
            desk = Desk(failing)
            return await desk.create(None)

        async def check(run: str) -> None:
            assert await client.command("ZCARD", client.keys.queue("runs")) == before + 1
            line.desk.adopt(await line.desk.field(run, "thread") or "")

        return act, check

    await line.at_every_call(scene)


@pytest.mark.parametrize("size", [10, 700_000])
async def test_a_batch_is_created_once(line: Line, client: Client, size: int) -> None:
    async def scene(_: str) -> Any:
        before = await client.command("ZCARD", client.keys.queue("runs"))
        requests = [RunCreate(assistant_id="g", input=Raw(b'"%b"' % (b"x" * n))) for n in (size, 1)]

        async def check(batch: list[Created]) -> None:
            assert await client.command("ZCARD", client.keys.queue("runs")) == before + 2
            for request, one in zip(requests, batch, strict=True):
                line.desk.adopt(one.run.thread_id)
                shown = await RunStore(client).get(one.run.thread_id, one.run.run_id)
                assert shown.kwargs["input"] == request.input
                assert await client.command("TTL", client.keys.run_input(one.run.run_id)) == -1

        return lambda failing: RunStore(failing).create_batch(requests), check

    await line.at_every_call(scene)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_cancel_is_answered_though_its_answer_got_lost(line: Line, action: Any) -> None:
    """The repetition found the run ended, or gone, and told the client that there was nothing to cancel."""

    async def scene(thread: str) -> Any:
        run = await line.desk.create(thread)

        async def check(ended: bool) -> None:
            assert ended
            assert await line.desk.status(run) == ("interrupted" if action == "interrupt" else None)
            assert [event for event, _ in await line.desk.log(thread, run)] == ["end"]

        return lambda failing: cancel(failing, thread, run, action, "test"), check

    await line.at_every_call(scene)


async def test_a_cancel_of_a_running_run_is_answered_though_its_answer_got_lost(line: Line) -> None:
    async def scene(thread: str) -> Any:
        run = await line.desk.create(thread)
        ((_, token),) = await line.desk.claim()

        async def check(ended: bool) -> None:
            assert not ended
            assert await line.desk.field(run, "cancel") == "interrupt"
            assert await line.desk.finish(run, token, "interrupted", handled="interrupt") == "ok"

        return lambda failing: cancel(failing, thread, run, "interrupt", "test"), check

    await line.at_every_call(scene)


async def test_all_cancelled_runs_are_counted(line: Line) -> None:
    async def scene(thread: str) -> Any:
        await line.desk.create(thread)
        await line.desk.create(thread)

        async def check(count: int) -> None:
            assert count == 2

        return lambda failing: cancel_all(failing, "interrupt", "test"), check

    await line.at_every_call(scene)


async def test_a_run_is_forgotten_once(line: Line, client: Client) -> None:
    """The repetition did not find the run that the first call had deleted, and raised NotFound."""

    async def scene(thread: str) -> Any:
        run = await line.desk.create(thread)
        ((_, token),) = await line.desk.claim()
        await line.desk.finish(run, token)

        async def check(_: None) -> None:
            assert await RunStore(client).page(thread, limit=10, offset=0) == []

        return lambda failing: RunStore(failing).forget(thread, run), check

    await line.at_every_call(scene)


async def test_a_thread_is_created_once(line: Line, client: Client) -> None:
    async def scene(_: str) -> Any:
        before = await client.command("ZCARD", client.keys.threads_by_id())

        async def check(thread: Any) -> None:
            assert await client.command("ZCARD", client.keys.threads_by_id()) == before + 1
            assert (await ThreadStore(client).get(thread.thread_id)).metadata == {"a": 1}
            line.desk.adopt(thread.thread_id)

        return lambda failing: ThreadStore(failing).create(metadata={"a": 1}), check

    await line.at_every_call(scene)


async def test_a_thread_is_deleted_once(line: Line, client: Client) -> None:
    """The repetition did not find the thread that the first call had deleted, and raised NotFound."""

    async def scene(thread: str) -> Any:
        for _ in range(3):
            await line.desk.create(thread)

        async def check(_: None) -> None:
            assert not await ThreadStore(client).exists(thread)
            line.desk.forget(thread)

        return lambda failing: ThreadStore(failing).delete(thread), check

    await line.at_every_call(scene)


async def test_a_threads_metadata_are_changed_once(line: Line) -> None:
    async def scene(thread: str) -> Any:
        async def check(shown: Any) -> None:
            assert shown.metadata == {"a": 1}

        return lambda failing: ThreadStore(failing).patch(thread, {"a": 1}), check

    await line.at_every_call(scene)


async def test_a_message_is_posted_once(line: Line, client: Client) -> None:
    async def scene(thread: str) -> Any:
        async def check(_: Any) -> None:
            assert len((await MessageStore(client).list(thread)).rows) == 1

        return lambda failing: MessageStore(failing).post(thread, NewMessage(role="user", content="x")), check

    await line.at_every_call(scene)


async def test_a_message_that_a_run_has_taken_is_not_posted_again(client: Client) -> None:
    """The repetition looked for the message in the inbox only, which a run had emptied meanwhile."""
    desk = Desk(client)
    thread = await desk.open()
    message = {"thread_id": thread, "message": b'{"id":"m"}', "most": 1000, "request": "q"}
    await client.script("message_post", **message)
    run = await desk.create(thread)
    ((_, token),) = await desk.claim()

    await client.script("message_post", **message)

    assert len((await MessageStore(client).list(thread)).rows) == 1
    await desk.finish(run, token)
    await desk.leave()


async def test_a_changed_assistant_is_one_version_newer(line: Line, client: Client) -> None:
    names = iter(range(100))

    async def scene(_: str) -> Any:
        store, assistant = AssistantStore(client), system_assistant("g")
        before = (await store.get(assistant)).version

        async def check(_: None) -> None:
            assert (await store.get(assistant)).version == before + 1

        return lambda failing: AssistantStore(failing).ensure_system("g", f"name {next(names)}", None), check

    await line.at_every_call(scene)


async def test_an_item_is_put_and_deleted(line: Line, client: Client) -> None:
    async def scene(thread: str) -> Any:
        await ItemStore(client).put([Put(("old",), thread, b"{}")])

        async def act(failing: Client) -> None:
            await ItemStore(failing).put([Put(("new",), thread, b"{}"), Put(("old",), thread, None)])

        async def check(_: None) -> None:
            new, old = await ItemStore(client).get([(("new",), thread, False), (("old",), thread, False)])
            assert new is not None
            assert old is None

        return act, check

    await line.at_every_call(scene)
