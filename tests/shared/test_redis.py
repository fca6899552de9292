"""The connection to Redis: scripts by name, refusals as our errors, patience with a Redis that is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.exceptions as rx

from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError, Conflict, Fenced, NotFound, Unavailable
from lineshaft.redis.client import BLOCK_SECONDS, Client, check, is_transient
from lineshaft.threads.thread import ThreadStore

from .until import until


@pytest.fixture
async def impatient(settings: Settings) -> AsyncIterator[Client]:
    client = Client(settings, patience=0.3)
    yield client
    await client.close()


@pytest.fixture
async def away() -> AsyncIterator[Client]:
    """A client whose Redis is not there."""
    client = Client(Settings(redis_uri="unix:///nowhere/socket"), patience=0.3)
    yield client
    await client.close()


async def ask_state_unlock(client: Client) -> None:
    """A script that refuses: nobody holds this token."""
    await client.script(
        "state_unlock", lock_id="x", token="1.w", rev=0, thread_status="idle", state="", interrupts="", forget="",
        events_ttl=0, event=[],
    )  # fmt: skip


async def test_pauses_between_repetitions_have_a_bound(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's parent paused for up to 1.5 s, and so lost leases that it could have renewed after an outage."""
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    async def away() -> str:
        if len(pauses) < 20:
            raise rx.ConnectionError("refused")
        return "back"

    monkeypatch.setattr(asyncio, "sleep", note)
    client = Client(settings, patience=float("inf"), longest_pause=0.1)
    assert await client.patiently(away, "test") == "back"
    assert 0.05 <= max(pauses) <= 0.15
    await client.close()


async def test_a_script_is_sent_again_after_redis_forgot_it(client: Client) -> None:
    await client.script("wake", queue="runs")
    await client.command("SCRIPT", "FLUSH")
    assert await client.script("wake", queue="runs") == 1
    await client.command("SCRIPT", "FLUSH")
    assert await client.after([("RPUSH", client.keys.wake("other"), "1")], "wake", queue="other") == 1
    assert await client.command("LLEN", client.keys.wake("other")) == 1


async def test_many_at_once_meet_a_redis_that_knows_no_script(client: Client) -> None:
    await client.command("SCRIPT", "FLUSH")
    threads = await asyncio.gather(*(ThreadStore(client).create() for _ in range(50)))
    assert len({thread.thread_id for thread in threads}) == 50


async def test_a_scripts_refusal_is_our_error(client: Client) -> None:
    with pytest.raises(Fenced):
        await ask_state_unlock(client)
    with pytest.raises(NotFound, match=r"^Thread with ID t not found$"):
        await client.script("thread_delete", thread_id="t", limit=1, request="q")
    thread = await ThreadStore(client).create()
    with pytest.raises(Conflict):
        await ThreadStore(client).create(thread.thread_id)
    with pytest.raises(TypeError, match="wake"):
        await client.script("wake", queues="runs")


async def test_a_command_that_is_wrong_is_an_error_and_not_repeated(client: Client) -> None:
    await client.command("SET", "text", "x", "EX", 60)
    for call in (
        client.command("HGET", "text", "x"),
        client.commands(("GET", "text"), ("HGET", "text", "x")),
        client.commands(("GET", "text"), ("HGET", "text", "x"), atomic=True),
        client.after([("HGET", "text", "x")], "wake", queue="runs"),
    ):
        with pytest.raises(rx.ResponseError, match="WRONGTYPE"):
            await call


async def test_answers_of_several_commands_come_in_order(client: Client) -> None:
    assert await client.commands(("SET", "a", 1, "EX", 60), ("INCR", "a"), ("GET", "a")) == [b"OK", 2, b"2"]
    assert await client.commands(("INCR", "a"), ("GET", "a"), atomic=True) == [3, b"3"]


async def test_a_caller_that_goes_does_not_leave_its_answer_to_the_next(client: Client) -> None:
    await client.commands(("SET", "a", "a", "EX", 60), ("SET", "b", "b", "EX", 60))
    for _ in range(20):
        going = asyncio.create_task(client.command("GET", "a"))
        await asyncio.sleep(0)  # it has sent its command
        going.cancel()
        assert await client.command("GET", "b") == b"b"
        assert await client.script("wake", queue="runs") == 1


async def test_a_lost_connection_is_made_again(client: Client) -> None:
    for _ in range(3):
        await client.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await client.script("wake", queue="runs") == 1
        assert await client.commands(("PING",), ("PING",)) == [b"PONG", b"PONG"]


@pytest.mark.parametrize("patience", [0.0, 0.3])
async def test_without_redis_a_call_fails_when_its_patience_is_over(patience: float) -> None:
    away = Client(Settings(redis_uri="unix:///nowhere/socket"), patience=patience)
    calls: list[Any] = [
        lambda: away.command("PING"),
        lambda: away.commands(("PING",)),
        lambda: away.script("wake", queue="runs"),
        lambda: away.after([("PING",)], "wake", queue="runs"),
    ]
    for call in calls:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"^Redis is not available: ConnectionError$") as caught:
            await call()
        assert time.monotonic() - began < patience + 3  # seconds, for a busy machine; a client's own patience is longer
        assert caught.value.retry_after == 2
    await away.close()


async def test_a_redis_that_comes_back_in_time_was_never_away(client: Client) -> None:
    await client.redis.execute_command("CLIENT", "PAUSE", 200, "ALL")
    assert await client.script("wake", queue="runs") == 1


async def test_a_full_redis_is_unavailable_for_what_is_new_and_there_for_what_must_end(
    client: Client, impatient: Client
) -> None:
    await client.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match=r"^Redis is full: its maxmemory is used up\."):
            await ThreadStore(impatient).create()
        for atomic in (False, True):
            with pytest.raises(Unavailable, match=r"^Redis is full: its maxmemory is used up\."):
                await impatient.commands(("PING",), ("SET", "a", "1"), atomic=atomic)
        assert await impatient.script("wake", queue="runs") == 1
    finally:
        await client.redis.config_set("maxmemory", 0)


async def test_a_replica_is_not_written_to_but_waited_for(client: Client) -> None:
    """A failover: for a moment our connections lead to what is a replica now."""
    await client.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        creating = asyncio.create_task(ThreadStore(client).create())
        assert not (await asyncio.wait({creating}, timeout=0.05))[0]
    finally:
        await client.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert (await creating).status == "idle"


async def test_a_replica_that_has_lost_its_primary_and_says_so_is_waited_for(client: Client) -> None:
    await client.redis.config_set("replica-serve-stale-data", "no")
    await client.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        asking = asyncio.create_task(client.command("GET", "a"))  # MASTERDOWN
        assert not (await asyncio.wait({asking}, timeout=0.05))[0]
    finally:
        await client.redis.execute_command("REPLICAOF", "NO", "ONE")
        await client.redis.config_set("replica-serve-stale-data", "yes")
    assert await asking is None


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (rx.ConnectionError("x"), True),
        (rx.TimeoutError("x"), True),
        (rx.BusyLoadingError("x"), True),
        (rx.ReadOnlyError("x"), True),
        (rx.OutOfMemoryError("x"), True),
        (ConnectionResetError(), True),
        (rx.MasterDownError("Link with MASTER is down"), True),  # redis-py has cut the first word off
        (rx.ResponseError("MISCONF Redis is configured to save RDB snapshots"), True),
        (rx.ResponseError("BUSY Redis is busy running a script"), True),
        (rx.ResponseError("BUSYGROUP Consumer Group name already exists"), False),
        (rx.ResponseError("WRONGTYPE Operation against a key"), False),
        (rx.AuthenticationError("invalid password"), False),
        (rx.NoPermissionError("no"), False),
        (ValueError("x"), False),
    ],
)
def test_what_may_work_in_a_moment(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


async def test_a_blocking_pop_waits_longer_than_any_command(client: Client) -> None:
    """And not for ever: it outlasts the server's own timeout, so that what was popped is not lost by our giving up."""
    blocking = client.blocking()
    popping = asyncio.ensure_future(blocking.execute_command("BLPOP", "list", BLOCK_SECONDS))

    async def waits() -> bool:
        return b"cmd=blpop" in await client.command("CLIENT", "LIST")

    await until(waits, "the pop waits")
    silence = client.redis.connection_pool.connection_kwargs["silence"]
    assert blocking.connection_pool.connection_kwargs["silence"] == BLOCK_SECONDS + silence
    assert await client.command("RPUSH", "list", "x") == 1
    assert await popping == (b"list", b"x")
    await blocking.aclose()


async def test_check_names_the_server(client: Client) -> None:
    name, version = (await check(client)).split()
    assert name in ("Valkey", "Redis")
    assert int(version.split(".")[0]) >= 7


async def test_check_refuses_an_eviction_policy(client: Client) -> None:
    await client.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigError, match=r"evicts keys \(maxmemory-policy allkeys-lru\).*noeviction"):
            await check(client)
    finally:
        await client.redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"redis_version": "6.2.14"}, "Redis 6.2.14 is too old: Lineshaft needs Redis >= 7.0 or Valkey >= 7.2"),
        ({"redis_version": "7.0.15"}, None),
        ({"redis_version": "8.2.0"}, None),
        ({"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "7.2.5"}, None),
        ({"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "10.0.0-rc1"}, None),
    ],
)
async def test_check_reads_versions(
    client: Client, monkeypatch: pytest.MonkeyPatch, info: dict[str, str], said: str | None
) -> None:
    """What servers report that we do not have here."""

    async def reported(section: str) -> dict[str, str]:
        return info if section == "server" else {"maxmemory_policy": "noeviction"}

    monkeypatch.setattr(client.redis, "info", reported)
    if said is None:
        assert (await check(client)).endswith(info.get("valkey_version", info["redis_version"]))
    else:
        with pytest.raises(ConfigError, match=said):
            await check(client)


async def test_check_of_a_redis_that_is_not_there(away: Client) -> None:
    with pytest.raises(ConfigError, match=r"^Redis at unix:///nowhere/socket is not reachable: "):
        await check(away)


async def test_messages_never_show_a_password() -> None:
    client = Client(Settings(redis_uri="redis://user:s3cr:et@127.0.0.1:1/0"))
    with pytest.raises(ConfigError) as caught:
        await check(client)
    assert str(caught.value).startswith("Redis at redis://***@127.0.0.1:1/0 is not reachable")
    await client.close()
    with pytest.raises(ConfigError, match=r"^REDIS_URI http://\*\*\*@h: ") as caught:
        Client(Settings(redis_uri="http://:secret@h"))
    assert "secret" not in str(caught.value)
