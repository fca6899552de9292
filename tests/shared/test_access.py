"""The rules for a Redis user of our own: all that scripts do, and nothing in the keys of others."""

import inspect
import re
from collections.abc import AsyncIterator

import pytest

from lineshaft.redis import acl as access
from lineshaft.redis.client import Client
from lineshaft.redis.keys import Keys
from lineshaft.redis.script import load_all

USER = "shaft"
# Keys that only stand behind a word, where no rule can be tried with made-up arguments.
SHAPES = {
    "xread": ["STREAMS", "ls:x", "0"],
    "info": ["memory"],
    "publish": ["ls:x", "x"],
    "time": [],
    "memory": ["USAGE", "ls:x"],
}


@pytest.fixture
async def admin(client: Client) -> AsyncIterator[Client]:
    await client.command("ACL", "SETUSER", USER, "reset", "on", ">secret", *access.rules())
    yield client
    await client.command("ACL", "DELUSER", USER)


async def may(admin: Client, *command: str) -> bool:
    answer = await admin.command("ACL", "DRYRUN", USER, *command)
    return bool(answer == b"OK")


async def test_what_scripts_do_is_allowed(admin: Client) -> None:
    sources = "\n".join(script.source for script in load_all(Keys()).values())
    commands = sorted({name.lower() for name in re.findall(r"redis\.call\('(\w+)'", sources)})
    assert len(commands) > 40
    for name in commands:
        ((_, arity, *_),) = await admin.command("COMMAND", "INFO", name)
        arguments = SHAPES.get(name, ["ls:x"] * (abs(arity) - 1))
        assert await may(admin, name, *arguments), name


async def test_every_key_and_channel_is_within_the_patterns(client: Client) -> None:
    for prefix in ("", "mine:", "odd*[a]?\\:"):
        await client.command("ACL", "SETUSER", USER, "reset", "on", ">secret", *access.rules(prefix))
        named = [pair for pair in inspect.getmembers(Keys(prefix), inspect.ismethod) if pair[0] != "__init__"]
        for name, method in named:
            key = method(*"abc"[: len(inspect.signature(method).parameters)])
            command = ("PUBLISH", key, "x") if name.endswith(("channel", "bell")) else ("GET", key)
            assert await may(client, *command), key
        for key in ("other", "oddx[a]y\\:ls:x", f"x{prefix}ls:x"):
            assert not await may(client, "GET", key)
    await client.command("ACL", "DELUSER", USER)


@pytest.mark.parametrize(
    "command",
    ["KEYS *", "SCAN 0", "RANDOMKEY", "FLUSHALL", "CONFIG GET x", "SHUTDOWN", "ACL LIST", "CLIENT LIST", "MONITOR",
     "SCRIPT FLUSH", "FUNCTION LIST", "GET other", "PUBLISH other x", "RENAME ls:x other", "SAVE", "REPLICAOF NO ONE"],
)  # fmt: skip
async def test_nothing_else_is(admin: Client, command: str) -> None:
    assert not await may(admin, *command.split())
