"""Two installations on one Redis, told apart by REDIS_KEY_PREFIX: neither sees anything of the other."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system.installation import HeldRun, Installation, RedisServer, ends, enqueue, thread
from tests.system.journal import Journal, until

pytestmark = pytest.mark.xdist_group("redis_prefix")

Both = tuple[Installation, Installation]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as redis:
        yield redis


@pytest.fixture
def both(redis: RedisServer, tmp_path: Path) -> Iterator[Both]:
    # One of them begins like the other: a pattern or a search by prefix would take it for that one's.
    with Installation(tmp_path, redis, prefix="a:") as one, Installation(tmp_path, redis, prefix="a:ls:b:") as two:
        yield one, two


def heard(redis: RedisServer) -> set[str]:
    """The channels that somebody listens on."""
    return {channel.decode() for channel in redis.client.pubsub_channels()}


def whose(name: bytes | str) -> str:
    """Whose key or channel it is."""
    text = name.decode() if isinstance(name, bytes) else name
    for prefix in ("a:ls:b:ls:", "a:ls:b:arq:", "a:ls:", "a:arq:"):
        if text.startswith(prefix):
            return prefix.rpartition(":")[0].rpartition(":")[0] + ":"
    return f"nobody: {text}"


async def everything(http: httpx.AsyncClient, thread_id: str, run_id: str) -> list[int]:
    """How the other one's thread and run are answered for."""
    answers = [
        await http.get(f"/threads/{thread_id}"),
        await http.get(f"/threads/{thread_id}/state"),
        await http.get(f"/threads/{thread_id}/runs/{run_id}"),
        await http.get(f"/threads/{thread_id}/runs/{run_id}/join"),
        await http.get(f"/threads/{thread_id}/runs/{run_id}/stream"),
        await http.post(f"/threads/{thread_id}/runs/{run_id}/cancel"),
        await http.post(f"/threads/{thread_id}/runs", json={"assistant_id": "mark"}),
        await http.delete(f"/threads/{thread_id}"),
    ]
    return [answer.status_code for answer in answers]


async def test_neither_sees_or_touches_what_the_other_has(both: Both, journal: Journal) -> None:
    one, two = both
    async with HeldRun(one, journal) as held, two.http() as other:
        assert (await other.post("/threads/search", json={})).json() == []
        assert (await other.post("/threads/count", json={})).json() == 0
        assert await everything(other, held.thread_id, held.run_id) == [404] * 8
        cancelled = await other.post("/runs/cancel", json={"status": "all"})
        assert cancelled.status_code in (204, 404)

        # The same id twice, each its own.
        created = await other.post("/threads", json={"thread_id": held.thread_id, "metadata": {"of": "two"}})
        assert created.status_code == 200
        run_id = await enqueue(other, held.thread_id, "mark", input=journal.input(name="two"))
        assert await ends(other, held.thread_id, run_id) == "success"
        assert (await held.http.get(f"/threads/{held.thread_id}")).json()["metadata"].get("of") is None
        assert (await other.delete(f"/threads/{held.thread_id}")).is_success
        await held.goes_on()
        assert {line.pid for line in journal.lines("ended") if line.name == "two"}.isdisjoint(
            line.pid for line in journal.lines("ended") if not line.name
        )


async def test_every_key_and_channel_says_whose_it_is(redis: RedisServer, both: Both, journal: Journal) -> None:
    seen: set[str] = set()

    async def use(installation: Installation, name: str) -> None:
        """Touch what there is: runs, streams, cancels, states, messages, search."""
        async with installation.http() as http:
            thread_id = await thread(http)
            message = {"role": "user", "content": "hello"}
            assert (await http.post(f"/threads/{thread_id}/messages", json=message)).is_success
            body = {"assistant_id": "steps", "input": journal.input(name=name), "stream_mode": ["values", "updates"]}
            assert "event: updates" in (await http.post(f"/threads/{thread_id}/runs/stream", json=body)).text
            assert (await http.post(f"/threads/{thread_id}/history", json={"limit": 9})).is_success
            held = journal.input(name=name, hold=0, gated=False)
            run_id = await enqueue(http, thread_id, "steps", input=held, metadata={"of": name})
            stream = asyncio.create_task(http.get(f"/threads/{thread_id}/runs/{run_id}/stream"))
            await until(lambda: f"{installation.keys.thread_bell(thread_id)}" in heard(redis), "its bell is heard")
            await until(lambda: len([x for x in journal.lines("began", 0) if x.name == name]) == 2, "it runs")
            assert (await http.post(f"/threads/{thread_id}/runs/{run_id}/cancel")).is_success
            assert await ends(http, thread_id, run_id) == "interrupted"
            await stream

    with redis.client.monitor() as monitor:
        await asyncio.gather(*(use(installation, installation.keys.prefix) for installation in both))
        channels = heard(redis)
        redis.client.echo("that is all")
        for entry in monitor.listen():
            if entry["command"] == "ECHO that is all":
                break
            command, *arguments = entry["command"].split(" ")
            if command == "PUBLISH" and entry["client_type"] == "lua":
                seen.add(arguments[0])
    assert {whose(name) for name in (*redis.client.keys("*"), *channels, *seen)} == {"a:", "a:ls:b:"}
    assert len(seen) == 4  # of each a thread's bell, and what its worker was told
