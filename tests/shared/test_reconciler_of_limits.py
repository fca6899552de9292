"""What the reconciler mends of lines and limits."""

from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.config.executor import ExecutorConfig, Limits
from lineshaft.reconciler import Reconciler
from lineshaft.redis.client import Client

from .runs import Desk

CAUSE = "graph g"


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    limits = Limits(graphs={"g": 1})
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=ExecutorConfig(limits=limits))
    desk = Desk(client)
    desk.limits = limits.lines
    yield desk
    assert await Reconciler(client, "last").turn() == Counter()
    await desk.leave()


async def look(client: Client) -> Counter[str]:
    return await Reconciler(client, "one").turn()


async def test_a_slot_whose_run_is_gone_is_free_again(client: Client, desk: Desk) -> None:
    await client.command("SADD", client.keys.limited(), CAUSE)
    await client.command("SADD", client.keys.holders(CAUSE), "gone")
    run = await desk.create(await desk.open())
    assert await desk.claim() == []
    assert await look(client) == {"slot of a run that does not run": 1}
    ((claimed, token),) = await desk.claim()
    assert claimed == run
    assert await look(client) == {}
    await desk.finish(run, token)
    assert await look(client) == {}
    assert not await client.command("EXISTS", client.keys.limited()), "nothing is kept of a limit that nobody meets"


async def test_a_limit_that_was_taken_away_lets_its_runs_go(client: Client, desk: Desk) -> None:
    runs = [await desk.create(await desk.open()) for _ in range(4)]
    claimed = dict(await desk.claim())
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=ExecutorConfig())
    desk.limits = ""
    assert await desk.claim() == []
    assert await look(client) == {}
    while found := await desk.claim():  # each calls the next
        claimed |= dict(found)
    assert claimed.keys() == set(runs)
    for run, token in claimed.items():
        await desk.finish(run, token)


async def test_a_parked_run_that_was_lost_does_not_take_the_call(client: Client, desk: Desk) -> None:
    first, second = [await desk.create(await desk.open()) for _ in range(2)]
    ((_, token),) = await desk.claim()
    await client.command("ZADD", client.keys.parked("runs", CAUSE), -(10**16), "gone")
    assert await look(client) == {"parked run that does not wait": 1}
    await desk.finish(first, token)
    ((run, token),) = await desk.claim()
    assert run == second
    await desk.finish(run, token)


async def test_a_run_that_stands_in_no_line_is_seen(client: Client, desk: Desk) -> None:
    thread = await desk.open()
    run = await desk.create(thread)
    await client.command("DEL", client.keys.line("runs"))
    assert await desk.claim() == []
    assert await look(client) == {"thread whose turn nobody would see": 1}
    ((claimed, token),) = await desk.claim()
    assert claimed == run
    other = await desk.create(thread)
    await desk.create(await desk.open())
    await desk.finish(run, token)
    ((_, token), *_) = await desk.claim()
    await client.command("DEL", client.keys.parked("runs", CAUSE))
    assert await look(client) == {"thread whose turn nobody would see": 1}
    for _ in range(2):
        found = await desk.claim() or [(other, token)]
        for done, its in found:
            await desk.finish(done, its)
