"""What a run takes with it and leaves behind: messages of the inbox, large values, a thread of its own, no graph."""

from typing import Any

import pytest

from lineshaft.redis.client import Client
from lineshaft.threads.messages import MessageStore, NewMessage
from lineshaft_worker import executor
from tests.shared.whole_log import whole_log

from . import run_graphs
from .in_process import Office

pytestmark = pytest.mark.usefixtures("worker")


# the inbox
class Inbox:
    """The messages of one thread."""

    def __init__(self, office: Office, thread: str) -> None:
        self._office = office
        self._store = MessageStore(office.client)
        self.thread = thread

    async def post(self, *contents: str) -> None:
        for content in contents:
            await self._store.post(self.thread, NewMessage(role="user", content=content))

    async def waiting(self) -> int:
        keys = self._office.client.keys
        held = await self._office.client.command("LLEN", keys.thread_held(self.thread))
        assert held == 0
        return int(await self._office.client.command("LLEN", keys.thread_inbox(self.thread)))

    async def shown(self) -> list[Any]:
        return [message["content"] for message in (await self._store.list(self.thread)).rows]


@pytest.fixture
async def inbox(office: Office) -> Inbox:
    return Inbox(office, await office.thread())


async def test_a_run_without_an_input_takes_the_posted_messages(office: Office, inbox: Inbox) -> None:
    await inbox.post("one", "two")
    assert await office.run("counting", inbox.thread) == "success"
    assert await inbox.waiting() == 0
    assert await inbox.shown() == ["one", "two", "2 so far"]
    await inbox.post("three")
    assert await office.run("counting", inbox.thread) == "success"
    assert await inbox.shown() == ["one", "two", "2 so far", "three", "4 so far"]


async def test_a_run_with_an_input_leaves_them(office: Office, inbox: Inbox) -> None:
    await inbox.post("one")
    await office.run("counting", inbox.thread, {"messages": [{"role": "user", "content": "mine"}]})
    assert await inbox.waiting() == 1
    assert await inbox.shown() == ["mine", "1 so far", "one"]


async def test_messages_of_a_failed_run_are_part_of_the_state_once_it_has_a_checkpoint(
    office: Office, inbox: Inbox
) -> None:
    await inbox.post("boom")
    assert await office.run("counting", inbox.thread) == "error"
    assert await inbox.waiting() == 0
    assert await inbox.shown() == ["boom"]


async def test_a_graph_without_messages_gives_them_back(office: Office, inbox: Inbox) -> None:
    await inbox.post("one", "two")
    assert await office.run("linear", inbox.thread) == "error"
    assert "messages" in (await office.shown(inbox.thread))["error"]["message"]
    assert await inbox.waiting() == 2
    assert await inbox.shown() == ["one", "two"]


async def test_a_factory_that_fails_gives_them_back(office: Office, inbox: Inbox) -> None:
    await inbox.post("one")
    assert await office.run("broken", inbox.thread) == "error"
    assert await inbox.waiting() == 1


async def test_a_rolled_back_run_gives_them_back_in_their_order(office: Office, inbox: Inbox) -> None:
    await inbox.post("one", "two")
    run = await office.start("replying", inbox.thread)
    await office.entered("hold gate")
    await inbox.post("three")
    assert await inbox.shown() == ["one", "two", "three"]
    await office.cancel(inbox.thread, run, "rollback")
    assert await office.ended(run) is None
    assert await inbox.waiting() == 3
    assert await inbox.shown() == ["one", "two", "three"]


async def test_a_paused_thread_takes_none(office: Office, inbox: Inbox) -> None:
    await office.run("counting", inbox.thread, {"messages": ["a"]}, interrupt_before=["count"])
    await inbox.post("one")
    assert await office.run("counting", inbox.thread) == "success"
    assert await inbox.waiting() == 1
    assert await inbox.shown() == ["a", "1 so far", "one"]


# a thread of its own
@pytest.mark.parametrize(("graph", "status"), [("linear", "success"), ("failing", "error"), ("asking", "success")])
async def test_a_temporary_thread_goes_with_its_run(office: Office, client: Client, graph: str, status: str) -> None:
    run = await office.start(graph, None, {"log": []})
    thread = str(await office.field(run, "thread"))
    assert await office.ended(run) == status
    assert [key.decode() for key in await client.command("KEYS", f"ls:thread:{thread}*")] == [
        client.keys.thread_events(thread)
    ]
    # Who has missed the end can still read it for a while.
    assert (await office.log(thread))[-1] == ("end", f'"{status}"')
    for key in (client.keys.thread_events(thread), client.keys.run(run)):
        assert 0 < await client.command("PTTL", key) <= 300_000
    # And nothing of it stays for ever.
    for key in await client.command("KEYS", f"*{run}*"):
        assert await client.command("PTTL", key) > 0, key


async def test_a_cancelled_temporary_run(office: Office, client: Client) -> None:
    run = await office.start("held", None, {"log": []})
    thread = str(await office.field(run, "thread"))
    await office.entered("hold gate")
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"
    assert not await client.command("EXISTS", client.keys.thread(thread))


# large values
async def test_large_inputs_states_and_events(office: Office, client: Client) -> None:
    thread = await office.thread()
    big = "y" * 3_000_000
    assert await office.run("large", thread, {"log": [big]}, stream_mode=["values", "updates"]) == "success"
    assert await office.values(thread) == {"log": [big], "text": "x" * 700_000}
    entries = await whole_log(client, thread)
    assert [entry.event for entry in entries] == ["metadata", "values", "updates", "values", "end"]
    assert [len(entry.data) > 700_000 for entry in entries] == [False, True, True, True, False]


# no graph
@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_GRAPH_WAIT", 1_500)


@pytest.mark.usefixtures("impatient")
async def test_a_run_of_a_graph_that_nobody_has_fails_after_a_while(office: Office) -> None:
    await office.publish("elsewhere")
    thread = await office.thread()
    run = await office.start("elsewhere", thread, {"log": []})
    assert await office.ended(run) == "error"
    shown = await office.shown(thread)
    assert shown["error"]["error"] == "NotFound" and "'elsewhere'" in shown["error"]["message"]
    # Tried again by a timer, long before a worker would look by itself; and none of it counted as an attempt.
    tried = await office.attempts(thread)
    assert len(tried) >= 3 and set(tried) == {1}


@pytest.mark.usefixtures("impatient")
async def test_the_wait_begins_when_the_graph_is_first_missed(office: Office, client: Client) -> None:
    """However long the run has stood in the queue before."""
    await office.publish("elsewhere")
    thread = await office.thread()
    run = await office.start("elsewhere", thread, {"log": []})
    await client.command("HINCRBY", client.keys.run(run), "created", -600_000)
    assert await office.ended(run) == "error"
    assert len(await office.attempts(thread)) >= 3


async def test_a_cancelled_run_of_a_missing_graph_ends_at_once(office: Office) -> None:
    await office.publish("elsewhere")
    thread = await office.thread()
    run = await office.start("elsewhere", thread, {"log": []})
    await office.given_back(run)
    await office.cancel(thread, run)
    assert await office.ended(run) == "interrupted"


@pytest.mark.usefixtures("impatient")
async def test_others_wait_for_nobody(office: Office) -> None:
    await office.publish("elsewhere")
    missing = await office.start("elsewhere", await office.thread(), {"log": []})
    assert await office.run("linear", await office.thread(), {"log": []}) == "success"
    assert await office.ended(missing) == "error"
    assert run_graphs.ENTERED == ["a", "b", "c"]


async def test_a_run_that_cannot_be_read_harms_nobody(office: Office, client: Client) -> None:
    strange = await office.start("linear", await office.thread(), {"log": []}, after_seconds=0.2)
    doc = '{"assistant_id":"g","stream_mode":["from the future"]}'
    await client.command("HSET", client.keys.run(strange), "doc", doc)
    sound = await office.start("linear", await office.thread(), {"log": []}, after_seconds=0.2)
    assert await office.ended(sound) == "success"
    assert await office.ended(strange) == "error"
    assert await office.field(strange, "crashes") == "3"
