"""Copies of threads, and pruned histories: what there is of the one, and what stays of the other."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from lineshaft.errors import Conflict, NotFound
from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client
from lineshaft.threads import copies as thread_copies
from lineshaft.threads.copies import copy_thread
from lineshaft.threads.messages import MessageStore, NewMessage
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.state import moved_state, pack_state, stored_state
from lineshaft.threads.storage import measure
from lineshaft.threads.thread import ThreadStore

from .scenes import Stage


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    stage = Stage(client)
    await stage.enter()
    yield stage
    await client.redis.flushall()


def state_of(thread_id: str, **values: object) -> bytes:
    place = {"thread_id": thread_id, "checkpoint_ns": ""}
    return msgspec.json.encode(
        {
            "values": {"said": thread_id, **values},
            "next": [],
            "tasks": [{"id": "t", "checkpoint": place, "result": {"thread_id": thread_id}}, {"checkpoint": None}],
            "metadata": {"thread_id": thread_id, "step": 1},
            "checkpoint": place,
            "parent_checkpoint": None,
        }
    )


def test_a_moved_state_names_its_thread_and_keeps_what_users_have_in_it() -> None:
    big = b'{"values":{"n":123456789012345678901234567890,"t":"old"},"metadata":null,"checkpoint":{"thread_id":"old"}}'
    assert moved_state(big, "new") == (
        b'{"values":{"n":123456789012345678901234567890,"t":"old"},"metadata":null,"checkpoint":{"thread_id":"new"},'
        b'"tasks":[]}'
    )
    moved = msgspec.json.decode(moved_state(state_of("old"), "new"))
    expected = msgspec.json.decode(state_of("new"))
    expected["values"] = {"said": "old"}
    expected["tasks"][0]["result"] = {"thread_id": "old"}
    assert moved == expected


async def finished(stage: Stage, status: str = "interrupted") -> None:
    """A run that has left two checkpoints and a state."""
    args = await stage.wrote()
    second = {**args, "checkpoint_id": "c2", "anatomy_text": "c1\1\1a\0" + "2", "values": ["a\0" + "2", b"v2"]}
    await stage.script("checkpoint_put", **second)
    await stage.finish(
        stage.run, stage.token, rev=2, state=state_of(stage.thread), thread_status=status, interrupts=b'{"t":[]}'
    )


async def test_a_copy_has_the_states_but_not_the_runs(client: Client, stage: Stage) -> None:
    await finished(stage)
    await ThreadStore(client).patch(stage.thread, {"tag": "x"})
    original = await ThreadStore(client).get(stage.thread)
    copied = await ThreadStore(client).get(await copy_thread(client, stage.thread))
    assert copied.thread_id != stage.thread
    assert (copied.status, copied.values, copied.interrupts) == ("interrupted", original.values, original.interrupts)
    assert (copied.metadata, copied.config) == (original.metadata, {})
    assert copied.created_at == copied.updated_at > original.created_at
    found = await stored_state(client, copied.thread_id)
    assert found.state == moved_state(state_of(stage.thread), copied.thread_id)
    of_copy, of_original = await measure(client, copied.thread_id), await measure(client, stage.thread)
    assert of_copy.total_bytes == of_original.total_bytes > 0
    assert await client.command("EXISTS", client.keys.thread_runs(copied.thread_id)) == 0
    for where in (Filter(metadata={"tag": "x"}), Filter(status="interrupted")):
        found_ids = [thread.thread_id for thread in (await ThreadSearch(client).search(where)).rows]
        assert set(found_ids) == {copied.thread_id, stage.thread}


async def test_a_copy_is_not_touched_by_what_happens_to_the_original(client: Client, stage: Stage) -> None:
    await finished(stage)
    copied = await copy_thread(client, stage.thread)
    before = await measure(client, copied)
    await ThreadStore(client).delete(stage.thread)
    assert await measure(client, copied) == before


async def test_a_busy_thread_is_copied_as_it_was_at_rest(client: Client, stage: Stage) -> None:
    """A run adds writes to the checkpoint that it begins at, and checkpoints of its own; both may be taken back."""
    await finished(stage, "idle")
    messages = MessageStore(client)
    await messages.post(stage.thread, NewMessage(role="user", content="held"))
    place = {"thread_id": stage.thread, "ns": "", "checkpoint_id": "c2"}
    await stage.script("checkpoint_put_writes", run_id="", token="", **place, writes=[0, "t\0" + "0", b"n\0first"])
    run = await stage.running()
    await messages.post(stage.thread, NewMessage(role="user", content="waits"))
    at_rest = await measure(client, stage.thread)
    await stage.script("checkpoint_put_writes", **run, **place, writes=[0, "t\0" + "0", b"n\0second"])
    args = {**place, "checkpoint_id": "c3", "header": b"h", "anatomy_text": "c2\1\1a\0" + "3", "owner": stage.run}
    await stage.script("checkpoint_put", **run, **args, values=["a\0" + "3", b"value"])

    copied = await ThreadStore(client).get(await copy_thread(client, stage.thread))
    assert copied.status == "idle"
    of_copy = await measure(client, copied.thread_id)
    assert (of_copy.checkpoints.count, of_copy.total_bytes) == (2, at_rest.total_bytes)
    writes = client.keys.checkpoint_writes(copied.thread_id, "", "c2")
    assert await client.command("HGETALL", writes) == [b"t\0" + b"0", b"n\0first"]
    waiting = (await messages.list(copied.thread_id)).rows
    assert [message["content"] for message in waiting] == ["held", "waits"]


async def test_large_values_and_states_are_copied_in_slices(client: Client, stage: Stage) -> None:
    """Of large values those that the copy names: not what the run under way has put."""
    await finished(stage)
    for value_id in ("one.2", "two.1"):
        for number in range(int(value_id[-1])):
            args = {"thread_id": stage.thread, "value_id": value_id, "number": number}
            await stage.script("checkpoint_slice", **args, slice=f"{value_id} {number}")
    put = {"owner": "", "thread_id": stage.thread, "ns": "", "header": b"h"}
    large = {"checkpoint_id": "c3", "anatomy_text": "c2\1\1b\0" + "1", "values": ["b\0" + "1", b"s\0one.2"]}
    await stage.script("checkpoint_put", run_id="", token="", **put, **large)
    run = await stage.running()
    state = state_of(stage.thread, text="x" * 3_000_000)
    slices, stored = pack_state(client, stage.thread, state)
    await client.commands(*slices)
    await stage.finish(stage.run, stage.token, rev=3, state=stored)
    run = await stage.running()
    place = {"thread_id": stage.thread, "ns": "", "checkpoint_id": "c3"}
    await stage.script("checkpoint_put_writes", **run, **place, writes=[0, "t\0" + "0", b"s\0two.1"])

    copied = await copy_thread(client, stage.thread)
    values = {
        value_id: await client.command("HGETALL", client.keys.checkpoint_large(copied, value_id))
        for value_id in ("one.2", "two.1")
    }
    assert values == {"one.2": [b"0", b"one.2 0", b"1", b"one.2 1"], "two.1": []}
    assert await client.members(client.keys.checkpoint_large_ids(copied)) == [b"one.2"]
    (shown,) = await ThreadStore(client).read([copied])
    assert shown is not None and len(shown.values) > 3_000_000
    assert await client.command("EXISTS", *await leftovers(client, copied, "*:state:*")) == 1
    assert await client.command("TTL", (await leftovers(client, copied, "*:state:*"))[0]) == -1
    await ThreadStore(client).delete(copied)
    assert await leftovers(client, copied) == []


async def leftovers(client: Client, thread_id: str, pattern: str = "*") -> list[bytes]:
    """The keys that name a thread, but for notes that end by themselves."""
    keys = await client.command("KEYS", f"*{thread_id}{pattern}")
    return [key for key in keys if b":answered:" not in key]


def meanwhile(
    client: Client, monkeypatch: pytest.MonkeyPatch, name: str, *changes: Callable[[], Awaitable[Any]]
) -> None:
    """Let other things happen just before calls of a script: one at each, while there are any."""
    script, left = client.script, list(changes)

    async def interfered(called: str, **args: Any) -> Any:
        if called == name and left:
            await left.pop(0)()
        return await script(called, **args)

    monkeypatch.setattr(client, "script", interfered)


async def test_a_thread_that_changes_while_it_is_copied_is_copied_again(
    client: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(stage)
    seen: list[str] = []

    async def change() -> None:
        seen.extend(name.decode() for name in await client.command("ZRANGE", client.keys.threads_unfinished(), 0, -1))
        await finished(stage, "idle")

    meanwhile(client, monkeypatch, "thread_copy", change, change)
    copied = await copy_thread(client, stage.thread)
    assert (await ThreadStore(client).get(copied)).status == "idle"
    assert len(seen) == 2 and copied not in seen
    assert [await leftovers(client, target) for target in seen] == [[], []]
    assert await client.command("EXISTS", client.keys.threads_unfinished(), client.keys.threads_disposed()) == 0


async def test_a_run_that_is_handed_on_meanwhile_leaves_nothing_in_the_copy(
    client: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its workers it is not under way, and a piece that is copied then has what it has written."""
    await finished(stage, "idle")
    run = await stage.running()
    place = {"owner": stage.run, "thread_id": stage.thread, "ns": "", "checkpoint_id": "c3", "header": b"h"}
    await stage.script("checkpoint_put", **run, **place, anatomy_text="c2\1\1", values=[])

    async def hand_back() -> None:
        await stage.script("run_hand_back", **run)

    async def claim() -> None:
        assert [claimed for claimed, _ in await stage.claim()] == [stage.run]

    meanwhile(client, monkeypatch, "thread_copy_part", hand_back)
    meanwhile(client, monkeypatch, "thread_copy", claim)
    assert (await measure(client, await copy_thread(client, stage.thread))).checkpoints.count == 2


async def test_a_thread_that_never_holds_still_is_a_conflict(
    client: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(stage)
    key = client.keys.thread(stage.thread)

    async def change() -> None:
        await client.command("HINCRBY", key, "rev", 1)

    meanwhile(client, monkeypatch, "thread_copy", *[change] * 10)
    with pytest.raises(Conflict, match="changes while it is copied"):
        await copy_thread(client, stage.thread)
    assert await ThreadSearch(client).count(Filter()) == 1
    assert await client.command("EXISTS", client.keys.threads_unfinished(), client.keys.threads_disposed()) == 0


async def test_a_copy_that_nobody_finishes_is_deleted(
    client: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway that makes it is killed, or wakes up when it is too late."""
    await finished(stage)
    target = str(uuid.uuid4())
    place = {"source": stage.thread, "target": target}
    mark, _ = await client.script("thread_copy_begin", **place)
    part = {**place, "ns": "", "after": "", "limit": 10}
    await client.script("thread_copy_part", **part)
    assert await leftovers(client, target)
    assert await Reconciler(client, "r").turn() == Counter()  # it may still be under way
    monkeypatch.setattr(thread_copies, "_GIVEN_UP_MS", -1000)  # the time is looked at in whole seconds
    assert await Reconciler(client, "r").turn() == Counter({"unfinished copy of a thread": 1})
    assert await leftovers(client, target) == []
    for late in (
        client.script("thread_copy_part", **part),
        client.script("thread_copy_slice", **place, value_id="large", number=0),
        client.script("thread_copy", **place, mark=mark, state=b""),
    ):
        with pytest.raises(Conflict, match="given up"):
            await late
    assert await leftovers(client, target) == []


async def test_an_unknown_thread_is_a_conflict(client: Client) -> None:
    with pytest.raises(Conflict):
        await copy_thread(client, str(uuid.uuid4()))


async def test_pruning_keeps_the_latest_state(client: Client, stage: Stage) -> None:
    await finished(stage)
    await ThreadStore(client).prune(stage.thread)
    after = await measure(client, stage.thread)
    assert after.checkpoints.count == 1
    assert {name: amount.versions for name, amount in after.channel_values.by_channel.items()} == {"a": 1}
    assert (await stored_state(client, stage.thread)).state == state_of(stage.thread)
    await ThreadStore(client).prune(stage.thread)
    assert (await measure(client, stage.thread)).checkpoints.count == 1


async def test_a_run_keeps_the_history_that_it_may_have_to_go_back_to(client: Client, stage: Stage) -> None:
    await finished(stage)
    await stage.create(stage.thread)
    with pytest.raises(Conflict, match="busy"):
        await ThreadStore(client).prune(stage.thread)
    assert (await measure(client, stage.thread)).checkpoints.count == 2
    with pytest.raises(NotFound):
        await ThreadStore(client).prune(str(uuid.uuid4()))


async def test_the_measure_of_many_checkpoints_counts_shared_values_once(client: Client, stage: Stage) -> None:
    args = await stage.wrote(checkpoint="c0000")
    names = "\1\1a\0" + "1"
    for n in range(1, 1203):
        put = {**args, "checkpoint_id": f"c{n:04}", "anatomy_text": f"c{n - 1:04}{names}", "values": []}
        await stage.script("checkpoint_put", **put)
    writes = [0, "t\0" + "0", b"n\0v", 1, "t\0" + "1", b"n\0ww"]
    run = {name: args[name] for name in ("run_id", "token", "thread_id", "ns")}
    await stage.script("checkpoint_put_writes", **run, checkpoint_id="c0600", writes=writes)
    found = await measure(client, stage.thread)
    assert (found.checkpoints.count, found.channel_values.count, found.channel_values.bytes) == (1203, 1, 1)
    assert (found.pending_writes.count, found.pending_writes.bytes) == (2, 7)
    assert found.total_bytes == found.checkpoints.bytes + 8
