"""The published conformance suite for checkpointers, all of it."""

from collections.abc import AsyncGenerator

from langgraph.checkpoint.conformance import checkpointer_test, validate

from lineshaft.redis.client import Client
from lineshaft_worker.checkpoints import RedisSaver


async def test_all_81_tests_pass(client: Client) -> None:
    @checkpointer_test(name="RedisSaver")
    async def saver() -> AsyncGenerator[RedisSaver, None]:
        yield RedisSaver(client)

    report = await validate(saver)
    assert [failure for result in report.results.values() for failure in result.failures] == []
    assert sum(result.tests_passed for result in report.results.values()) == 81
