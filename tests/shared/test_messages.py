"""Messages posted to a thread, and the list of all its messages."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from lineshaft.errors import Invalid, NotFound, TooLarge, TooMany
from lineshaft.redis.client import Client
from lineshaft.threads.messages import MessageStore, NewMessage
from lineshaft.threads.thread import ThreadStore


@pytest.fixture
def messages(client: Client) -> MessageStore:
    return MessageStore(client)


@pytest.fixture
async def thread_id(client: Client) -> str:
    return (await ThreadStore(client).create()).thread_id


def redis(client: Client) -> Any:
    return client.redis  # redis-py's annotations say of every command that it may also not be awaitable


async def test_a_posted_message_waits_in_langchains_form(
    client: Client, messages: MessageStore, thread_id: str
) -> None:
    shown = await messages.post(thread_id, NewMessage(role="user", content="Hello"))
    assert shown == {"id": shown["id"], "role": "user", "type": "human", "content": "Hello"}
    uuid.UUID(shown["id"])
    (stored,) = await redis(client).lrange(client.keys.thread_inbox(thread_id), 0, -1)
    assert json.loads(stored) == {"type": "human", "content": "Hello", "id": shown["id"]}
    assert (await messages.list(thread_id)).rows == [shown]


async def test_roles_and_types(messages: MessageStore, thread_id: str) -> None:
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": "a"}, "b"]
    sent = [
        NewMessage(role="human", content="1", id="m1", name="Ann"),
        NewMessage(role="ai", content="", tool_calls=[{"name": "t", "args": {}, "id": "c"}]),
        NewMessage(role="assistant", content=blocks),
        NewMessage(role="system", content="3"),
        NewMessage(role="tool", content="4", tool_call_id="c", status="error"),
    ]
    for message in sent:
        await messages.post(thread_id, message)
    rows: list[Any] = list((await messages.list(thread_id)).rows)
    assert [(row["role"], row["type"]) for row in rows] == [
        ("user", "human"), ("assistant", "ai"), ("assistant", "ai"), ("system", "system"), ("tool", "tool"),
    ]  # fmt: skip
    assert rows[0] == {"id": "m1", "role": "user", "type": "human", "content": "1", "name": "Ann"}
    assert rows[1]["tool_calls"] == [{"name": "t", "args": {}, "id": "c"}]
    assert rows[2]["content"] == blocks
    assert (rows[4]["tool_call_id"], rows[4]["status"]) == ("c", "error")


async def test_what_cannot_be_posted(messages: MessageStore, thread_id: str) -> None:
    with pytest.raises(Invalid, match="tool_call_id"):
        await messages.post(thread_id, NewMessage(role="tool", content="4"))
    with pytest.raises(NotFound):
        await messages.post(str(uuid.uuid4()), NewMessage(role="user", content="x"))
    with pytest.raises(NotFound):
        await messages.list(str(uuid.uuid4()))


async def test_posting_moves_updated_at(client: Client, messages: MessageStore, thread_id: str) -> None:
    threads = ThreadStore(client)
    before = await threads.get(thread_id)
    await messages.post(thread_id, NewMessage(role="user", content="x"))
    after = await threads.get(thread_id)
    assert after.updated_at > before.updated_at
    assert after.state_updated_at == before.state_updated_at


async def test_the_same_call_again_adds_nothing(client: Client, thread_id: str) -> None:
    for _ in range(2):
        assert await client.script("message_post", thread_id=thread_id, message="m", most=100, request="q") == 1
    assert await redis(client).llen(client.keys.thread_inbox(thread_id)) == 1


async def test_state_then_held_then_inbox_in_pages(client: Client, messages: MessageStore, thread_id: str) -> None:
    assert (await messages.list(thread_id)).rows == []
    stored = [{"type": "human", "content": "0", "id": "a"}, {"type": "ai", "content": "1", "id": "b", "usage": None}]
    await redis(client).hset(
        client.keys.thread_snapshot(thread_id), "state", json.dumps({"values": {"messages": stored, "n": 1}})
    )
    await redis(client).rpush(client.keys.thread_held(thread_id), '{"type":"human","content":"2","id":"c"}')
    await redis(client).rpush(client.keys.thread_inbox(thread_id), '{"type":"human","content":"3","id":"d"}')
    every = await messages.list(thread_id)
    assert [row["content"] for row in every.rows] == ["0", "1", "2", "3"]
    assert every.rows[1] == {"id": "b", "role": "assistant", "type": "ai", "content": "1", "usage": None}
    middle = await messages.list(thread_id, limit=2, offset=1)
    assert [row["id"] for row in middle.rows] == ["b", "c"]
    assert (middle.next, middle.total) == (3, 4)


@pytest.mark.parametrize("values", ["null", '{"messages": "text"}', "[1]", '{"messages": [1, "x"]}'])
async def test_a_state_without_messages_has_none(
    client: Client, messages: MessageStore, thread_id: str, values: str
) -> None:
    await redis(client).hset(client.keys.thread_snapshot(thread_id), "state", f'{{"values": {values}}}')
    assert (await messages.list(thread_id)).rows == []


async def test_concurrent_posts_all_arrive(messages: MessageStore, thread_id: str) -> None:
    await asyncio.gather(
        *(messages.post(thread_id, NewMessage(role="user", content=str(i))) for i in range(30))
    )  # fmt: skip
    rows = (await messages.list(thread_id)).rows
    assert {row["content"] for row in rows} == {str(i) for i in range(30)}


async def test_messages_that_are_too_large_or_too_many(messages: MessageStore, thread_id: str) -> None:
    """A run takes them all in one script, and Redis does nothing else meanwhile."""
    with pytest.raises(TooLarge, match="limit: 1048576"):
        await messages.post(thread_id, NewMessage(role="user", content="x" * 1024 * 1024))
    text = "x" * 1_000_000
    for _ in range(8):
        await messages.post(thread_id, NewMessage(role="user", content=text))
    with pytest.raises(TooMany, match="start a run that takes them"):
        await messages.post(thread_id, NewMessage(role="user", content=text))
    assert len((await messages.list(thread_id)).rows) == 8
    await messages.post(thread_id, NewMessage(role="user", content="there is room for this"))


async def test_a_thread_on_which_nothing_runs_takes_a_bounded_number(
    client: Client, messages: MessageStore, thread_id: str
) -> None:
    await redis(client).rpush(client.keys.thread_inbox(thread_id), *(["{}"] * 999))
    await messages.post(thread_id, NewMessage(role="user", content="the thousandth"))
    with pytest.raises(TooMany, match="1000 messages wait on this thread already"):
        await messages.post(thread_id, NewMessage(role="user", content="one more"))
    assert await redis(client).llen(client.keys.thread_inbox(thread_id)) == 1000
