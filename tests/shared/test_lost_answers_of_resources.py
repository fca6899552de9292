"""What changes assistants and threads has exactly one effect, and a true answer, whichever of its calls fails."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from lineshaft.assistants.assistant import Assistant, AssistantStore
from lineshaft.assistants.document import AssistantChanges, AssistantDoc
from lineshaft.assistants.versions import AssistantVersions
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.threads.copies import copy_thread
from lineshaft.threads.export import erase_thread
from lineshaft.threads.thread import ThreadStore

from .lossy_line import Line, lossy_line

Act = Callable[[Client, str], Awaitable[Any]]


@pytest.fixture
async def line(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with lossy_line(client, settings, monkeypatch) as line:
        yield line


async def change(client: Client, assistant_id: str) -> Assistant:
    return await AssistantStore(client).change(assistant_id, AssistantChanges(metadata={"b": 2}))


async def replace(client: Client, assistant_id: str) -> Assistant:
    return await AssistantStore(client).replace(assistant_id, AssistantDoc(graph_id="g", metadata={"b": 2}))


@pytest.mark.parametrize("act_on", [change, replace])
async def test_an_assistant_gets_one_new_version(line: Line, client: Client, act_on: Act) -> None:
    store, versions = AssistantStore(client), AssistantVersions(client)

    async def scene(_: str) -> Any:
        first = await store.create(AssistantDoc(graph_id="g", metadata={"b": 1}))

        async def act(failing: Client) -> Any:
            return await act_on(failing, first.assistant_id)

        async def check(changed: Assistant) -> None:
            assert (changed.version, changed.metadata) == (2, {"b": 2})
            kept = await versions.list(first.assistant_id, {}, limit=10, offset=0)
            assert [version.version for version in kept] == [2, 1]

        return act, check

    await line.at_every_call(scene)


async def test_an_assistant_goes_back_once_and_is_deleted_once(line: Line, client: Client) -> None:
    store = AssistantStore(client)

    async def scene(_: str) -> Any:
        first = await store.create(AssistantDoc(graph_id="g", name="one"))
        await store.change(first.assistant_id, AssistantChanges(name="two"))

        async def act(failing: Client) -> Assistant:
            await AssistantVersions(failing).restore(first.assistant_id, 1)
            shown = await AssistantStore(failing).get(first.assistant_id)
            await AssistantStore(failing).delete(first.assistant_id)
            return shown

        async def check(shown: Assistant) -> None:
            assert (shown.version, shown.name) == (1, "one")
            assert await client.command("EXISTS", client.keys.assistant(first.assistant_id)) == 0

        return act, check

    await line.at_every_call(scene)


@pytest.mark.parametrize("if_exists", ["raise", "do_nothing"])
async def test_who_has_made_a_thread_knows_it(line: Line, client: Client, if_exists: Any) -> None:
    async def scene(thread: str) -> Any:
        await ThreadStore(client).delete(thread)  # its id is free again

        async def act(failing: Client) -> Any:
            return await ThreadStore(failing).obtain(thread, {}, if_exists=if_exists, ttl=None)

        async def check(obtained: Any) -> None:
            assert (obtained[0].thread_id, obtained[1]) == (thread, True)

        return act, check

    await line.at_every_call(scene)


async def test_a_thread_is_copied_once(line: Line, client: Client) -> None:
    async def scene(thread: str) -> Any:
        before = await client.command("ZCARD", client.keys.threads_by_id())

        async def act(failing: Client) -> str:
            return await copy_thread(failing, thread)

        async def check(copied: str) -> None:
            line.desk.adopt(copied)
            assert await client.command("ZCARD", client.keys.threads_by_id()) == before + 1

        return act, check

    await line.at_every_call(scene)


async def test_a_thread_is_pruned_and_erased(line: Line, client: Client) -> None:
    async def scene(thread: str) -> Any:
        line.desk.forget(thread)

        async def act(failing: Client) -> bool:
            await ThreadStore(failing).prune(thread)
            return await erase_thread(failing, thread)

        async def check(was_there: bool) -> None:
            assert was_there
            assert await client.command("EXISTS", client.keys.thread(thread)) == 0

        return act, check

    await line.at_every_call(scene)
