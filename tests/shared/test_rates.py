"""Token buckets in Redis."""

import asyncio

import pytest

from lineshaft.access.rates import take
from lineshaft.errors import TooMany
from lineshaft.redis.client import Client

from .until import until


async def drain(client: Client, wanted: int = 1, period: int = 60_000) -> int:
    """What the script says of a bucket of three."""
    answer: int = await client.script("rate_take", bucket="b", capacity=3, period_ms=period, wanted=wanted)
    return answer


async def test_a_bucket_gives_all_it_has_and_then_says_how_long_to_wait(client: Client) -> None:
    assert [await drain(client) for _ in range(3)] == [0, 0, 0]
    assert 15_000 < await drain(client) <= 20_000  # a third of a minute for a third of the bucket
    assert 35_000 < await drain(client, wanted=2) <= 40_000


async def test_what_was_taken_comes_back_with_time(client: Client) -> None:
    assert [await drain(client) for _ in range(3)] == [0, 0, 0]
    stored = await client.command("HGET", client.keys.rate("b"), "at")
    await client.command("HSET", client.keys.rate("b"), "at", int(stored) - 20_000)
    assert await drain(client) == 0
    assert await drain(client) > 0


async def test_a_full_bucket_is_none(client: Client) -> None:
    assert await drain(client, period=50) == 0

    async def gone() -> bool:
        return not await client.command("EXISTS", client.keys.rate("b"))

    await until(gone, "the bucket is gone")
    assert [await drain(client) for _ in range(3)] == [0, 0, 0]


async def test_a_clock_that_went_back_gives_and_takes_nothing(client: Client) -> None:
    assert await drain(client) == 0
    await client.command("HINCRBY", client.keys.rate("b"), "at", 3_600_000)  # a failover to a host that is behind
    assert [await drain(client) for _ in range(2)] == [0, 0]
    assert await drain(client) > 0


async def test_many_at_once_get_no_more_than_there_is(client: Client) -> None:
    answers = await asyncio.gather(*(drain(client) for _ in range(50)))
    assert answers.count(0) == 3


async def test_each_has_a_limit_of_their_own(client: Client) -> None:
    await take(client, "requests", "a", 1)
    await take(client, "requests", "b", 1)
    await take(client, "runs", "a", 1)
    with pytest.raises(TooMany, match="You may have 1 request a minute: wait 60 s") as refused:
        await take(client, "requests", "a", 1)
    assert refused.value.retry_after == 60
    with pytest.raises(TooMany, match="these are 3 at once"):
        await take(client, "runs", "c", 2, 3)
