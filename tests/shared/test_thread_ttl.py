"""The lifetime of threads for which nobody asks for one."""

import msgspec
import pytest

from lineshaft.redis.client import Client
from lineshaft.threads.thread import ThreadStore
from lineshaft.threads.ttl import CheckpointerConfig, DefaultTtl, Ttl

from .runs import Desk

ANSWER = {"if_not_exists": "create"}


async def minutes_of(client: Client, thread_id: str) -> tuple[str, float] | None:
    """The strategy and minutes that a thread has."""
    ttl = (await ThreadStore(client).get(thread_id, with_ttl=True)).ttl
    return (ttl.strategy, ttl.ttl_minutes) if isinstance(ttl, msgspec.Struct) else None


@pytest.fixture
def desk(client: Client) -> Desk:
    kept = CheckpointerConfig(ttl=DefaultTtl(strategy="keep_latest", default_ttl=60))
    client.settings = msgspec.structs.replace(client.settings, langgraph_checkpointer=kept)
    return Desk(client)


async def test_new_threads_have_it_also_those_that_runs_make(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    assert await minutes_of(client, thread) == ("keep_latest", 60)
    made = "11111111-2222-4333-8444-555555555555"
    await desk.create(made, **ANSWER)
    kept = await desk.runs.find(await desk.create(None, on_completion="keep"))
    for thread_id in (made, kept):
        desk.adopt(thread_id)
        assert await minutes_of(client, thread_id) == ("keep_latest", 60)
    await desk.leave()


async def test_a_thread_for_which_somebody_asks_has_another(client: Client, desk: Desk) -> None:
    threads = ThreadStore(client)
    thread = await threads.create(ttl=Ttl(ttl=5))
    assert await minutes_of(client, thread.thread_id) == ("delete", 5)
    await desk.open()
    await desk.create(thread.thread_id, **ANSWER)
    assert await minutes_of(client, thread.thread_id) == ("delete", 5), "it was there already"
    desk.adopt(thread.thread_id)
    await desk.leave()


async def test_temporary_threads_go_with_their_runs(client: Client, desk: Desk) -> None:
    await desk.open()
    run = await desk.create(None)
    assert await minutes_of(client, await desk.runs.find(run)) is None
    ((_, token),) = await desk.claim()
    await desk.finish(run, token)
    await desk.leave()
