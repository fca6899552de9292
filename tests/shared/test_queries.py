"""The control lane: an asker gets an answer, an error, or hears in time that there is none."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.exceptions as rx
from msgspec import Raw

from lineshaft.assistants.queries import Queries, StateQuery
from lineshaft.config.settings import Settings
from lineshaft.errors import BadRequest, Conflict, Fenced, Invalid, LineshaftError, NotFound, Unavailable
from lineshaft.redis.client import Client

from .failing_wire import MOMENTS, Moment, failing
from .until import until


@pytest.fixture
async def asker(client: Client) -> AsyncIterator[Queries]:
    blocking = client.blocking()
    yield Queries(client, blocking, patience=1.2)
    await blocking.aclose()


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[Queries]:
    blocking = client.blocking()
    yield Queries(client, blocking)
    await blocking.aclose()


async def taken(worker: Queries, name: str = "w") -> StateQuery:
    while (query := await worker.take(name)) is None:
        pass
    return query


def ask(asker: Queries) -> asyncio.Task[Raw]:
    return asyncio.create_task(asker.ask("history", "t", "chat", limit=3, before=None))


async def test_a_question_is_answered(client: Client, asker: Queries, worker: Queries) -> None:
    asking = ask(asker)
    query = await taken(worker)
    assert (query.kind, query.thread_id, query.graph_id, query.args) == (
        "history",
        "t",
        "chat",
        {"limit": 3, "before": None},
    )
    await worker.answer(query, Raw(b'[{"a":18446744073709551617,"b":[]}]'))
    assert bytes(await asking) == b'[{"a":18446744073709551617,"b":[]}]'
    assert await client.command("EXISTS", client.keys.query(query.query_id)) == 0


@pytest.mark.parametrize("kind", [BadRequest, Conflict, Invalid, NotFound])
async def test_an_error_of_the_worker_is_raised_here(
    asker: Queries, worker: Queries, kind: type[LineshaftError]
) -> None:
    asking = ask(asker)
    await worker.answer(await taken(worker), kind("no such thing"))
    with pytest.raises(kind, match=r"^no such thing$"):
        await asking


async def test_an_error_that_is_not_the_askers_matter_is_unavailable(asker: Queries, worker: Queries) -> None:
    asking = ask(asker)
    await worker.answer(await taken(worker), Fenced("the lock was lost"))
    with pytest.raises(Unavailable, match="the lock was lost"):
        await asking


async def test_without_a_worker_the_asker_hears_so_in_time(client: Client, asker: Queries) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="No worker") as caught:
        await asker.ask("state", "t", "chat")
    assert 1 < time.monotonic() - began < 4  # seconds; an asker's own patience is 5
    assert caught.value.retry_after == 5
    # The offers are left, the question is not: who pops one finds nothing to do.
    assert await client.command("LLEN", client.keys.queries()) >= 2
    assert await client.command("KEYS", client.keys.query("*")) == []


async def test_a_worker_that_does_not_answer_in_time_is_told_apart(asker: Queries, worker: Queries) -> None:
    asking = ask(asker)
    query = await taken(worker)
    with pytest.raises(Unavailable, match="did not answer in time"):
        await asking
    await worker.answer(query, Raw(b"1"))  # too late: a key that expires


async def test_one_of_two_workers_takes_it(asker: Queries, worker: Queries, client: Client) -> None:
    asking = ask(asker)
    query = await taken(worker)
    await client.command("RPUSH", client.keys.queries(), query.query_id)  # an offer that was made twice
    assert await worker.take("other") is None
    await worker.answer(query, Raw(b"1"))
    assert bytes(await asking) == b"1"


async def test_an_offer_that_died_with_a_worker_is_made_again(asker: Queries, worker: Queries, client: Client) -> None:
    asking = ask(asker)

    async def offered() -> bool:
        return await client.command("LPOP", client.keys.queries()) is not None

    await until(offered, "the first offer, which nobody takes")
    await worker.answer(await taken(worker), Raw(b"2"))
    assert bytes(await asking) == b"2"


async def test_a_question_whose_asker_has_gone_is_nobodys(asker: Queries, worker: Queries, client: Client) -> None:
    asking = ask(asker)

    async def offered() -> bool:
        return bool(await client.command("LLEN", client.keys.queries()))

    await until(offered, "an offer")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await worker.take("w") is None


async def test_lost_connections_do_not_lose_the_question(asker: Queries, worker: Queries, client: Client) -> None:
    asking = ask(asker)
    query = await taken(worker)
    await client.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await worker.answer(query, Raw(b"3"))
    assert bytes(await asking) == b"3"


class Forgetful:
    """A client for pops that loses the first answer that is not empty, with its connection."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking
        self.lost = False

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            answer = await getattr(self._blocking, name)(*args, **options)
            if answer and not self.lost:
                self.lost = True
                raise rx.ConnectionError("gone")
            return answer

        return call


async def test_an_answer_lost_on_its_way_to_the_asker_comes_again(client: Client, worker: Queries) -> None:
    """It was popped and gone: the asker was told that a change had failed which had been made."""
    blocking = client.blocking()
    forgetful = Forgetful(blocking)
    asking = ask(Queries(client, forgetful, patience=1.2))
    await worker.answer(await taken(worker), Raw(b"4"))
    assert bytes(await asking) == b"4"
    assert forgetful.lost
    await blocking.aclose()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_worker_knows_that_it_has_taken_a_question(
    settings: Settings, asker: Queries, client: Client, moment: Moment
) -> None:
    """Asked again after a lost answer it found that somebody had the question, and nobody answered it."""
    failing_client, wire = failing(settings)
    blocking = client.blocking()
    worker = Queries(failing_client, blocking)
    asking = ask(asker)
    wire.fail(1, moment)
    query = await worker.take("w")
    assert query is not None
    assert wire.failed
    await worker.answer(query, Raw(b"5"))
    assert bytes(await asking) == b"5"
    await blocking.aclose()
    await failing_client.close()
