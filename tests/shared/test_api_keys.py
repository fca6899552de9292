"""API keys in Redis, and the commands that keep them."""

import pytest
from click.testing import CliRunner

from lineshaft.access.api_keys import ApiKeys
from lineshaft.cli import main
from lineshaft.errors import Invalid, NotFound
from lineshaft.redis.client import Client


async def test_a_key_is_good_until_it_is_revoked(client: Client) -> None:
    keys = ApiKeys(client)
    key, token = await keys.create("n", "write", graphs=["a"])
    checked = await keys.check(token)
    assert checked is not None
    assert (checked.key_id, checked.scope, checked.graphs) == (key.key_id, "write", ["a"])
    await keys.revoke(key.key_id)
    assert await keys.check(token) is None
    assert await keys.list() == []
    with pytest.raises(NotFound):
        await keys.revoke(key.key_id)


async def test_no_key_is_stored_as_it_is(client: Client) -> None:
    _, token = await ApiKeys(client).create("n", "read")
    stored = b"".join(await client.command("HGETALL", client.keys.api_keys()))
    assert token.rpartition("_")[2].encode() not in stored


async def test_what_is_nearly_a_key_is_none(client: Client) -> None:
    keys = ApiKeys(client)
    key, token = await keys.create("n", "read")
    other = token[:-1] + ("0" if token[-1] != "0" else "1")
    for wrong in (other, token[:-1], token + "0", token.upper(), key.key_id, key.digest, f"{key.key_id}:used", ""):
        assert await keys.check(wrong) is None, wrong


async def test_a_key_expires(client: Client) -> None:
    keys = ApiKeys(client)
    _, late = await keys.create("late", "read", seconds=-1)
    _, good = await keys.create("good", "read", seconds=3600)
    assert await keys.check(late) is None
    assert await keys.check(good) is not None
    assert {key.name: key.is_expired for key in await keys.list()} == {"late": True, "good": False}


async def test_a_revoked_key_leaves_nothing_behind_when_it_was_in_use(client: Client) -> None:
    keys = ApiKeys(client)
    key, _ = await keys.create("n", "read")
    await keys.note_use(key.key_id)
    (listed,) = await keys.list()
    assert listed.used is not None
    await keys.revoke(key.key_id)
    await keys.note_use(key.key_id)  # by a gateway that has not heard of it
    assert not await client.command("EXISTS", client.keys.api_keys())


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101])
async def test_a_key_needs_a_name_for_lists(client: Client, name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        await ApiKeys(client).create(name, "read")


def keys_command(uri: str, *args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["keys", *args, "--redis-uri", uri])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("client")
def test_the_command_line_makes_shows_and_revokes_keys(redis_uri: str) -> None:
    code, token, says = keys_command(
        redis_uri, "create", "--name", "ci", "--scope", "read", "--graph", "a", "--expires", "2d"
    )
    assert code == 0
    key_id = token.split("_")[1]
    assert f"revoke {key_id}" in says
    code, table, _ = keys_command(redis_uri, "list")
    assert code == 0
    assert [word in table for word in (key_id, "ci", "read", "good", token.strip())] == [True, True, True, True, False]
    assert keys_command(redis_uri, "revoke", key_id)[:2] == (0, f"Revoked {key_id}.\n")
    code, _, says = keys_command(redis_uri, "revoke", key_id)
    assert (code, says) == (1, f"Error: There is no key '{key_id}'; `lineshaft keys list` shows all\n")
    assert keys_command(redis_uri, "list")[:2] == (0, "")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("time", ["3", "0d", "-1d", "1w", "1.5h"])
def test_a_time_that_nobody_understands_makes_no_key(redis_uri: str, time: str) -> None:
    code, _, says = keys_command(redis_uri, "create", "--name", "n", "--expires", time)
    assert code == 1
    assert "30m, 12h or 90d" in says
    assert keys_command(redis_uri, "list")[:2] == (0, "")
