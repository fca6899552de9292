"""The version of what is stored."""

import pytest

from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client
from lineshaft.redis.stored_format import FORMAT, check_format


async def stored(client: Client) -> int:
    return int(await client.command("GET", client.keys.format()))


@pytest.mark.parametrize("before", [None, FORMAT - 1, FORMAT])
async def test_an_empty_redis_and_older_data_are_taken_over(client: Client, before: int | None) -> None:
    if before is not None:
        await client.command("SET", client.keys.format(), before)
    await check_format(client)
    assert await stored(client) == FORMAT


async def test_newer_data_are_refused_and_left_alone(client: Client) -> None:
    await client.command("SET", client.keys.format(), FORMAT + 1)
    with pytest.raises(ConfigError, match=f"format {FORMAT + 1}, this version knows {FORMAT}"):
        await check_format(client)
    assert await stored(client) == FORMAT + 1
    await client.command("DEL", client.keys.format())  # processes that other tests start would refuse it too
