"""At most so many runs of a tenant or a graph at once: exactly, whatever happens to them, and nobody spins for it."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.queues.control import pause, resume
from lineshaft.queues.load import measure
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.request import RunUser
from lineshaft.threads.thread import ThreadStore

from .runs import Desk


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    desk = Desk(client)
    desk.limits = "tenant\t2\ngraph slow\t1"
    await desk.open()
    await AssistantStore(client).ensure_system("slow", "slow", None)
    yield desk
    await desk.leave()


async def send(desk: Desk, tenant: str, graph: str = "g") -> str:
    run = await desk.create(None, user=RunUser(tenant), assistant_id=graph)
    desk.adopt(str(await desk.field(run, "thread")))
    return run


async def token_rests(client: Client) -> bool:
    """Whether somebody would look into the queue again; takes the token."""
    return await client.command("LPOP", client.keys.wake("runs")) is not None


async def end(desk: Desk, run: str, token: str) -> None:
    desk.forget(str(await desk.field(run, "thread")))
    await desk.finish(run, token)


async def drain(desk: Desk) -> list[str]:
    """All that is left, as long as tokens call for a claim: what they do not call for would be forgotten."""
    taken = []
    while await token_rests(desk.client):
        for run, token in await desk.claim():
            taken.append(run)
            await end(desk, run, token)
    return taken


async def test_a_limit_holds_and_does_not_hold_up_others(client: Client, desk: Desk) -> None:
    mine = [await send(desk, "a") for _ in range(5)]
    other = await send(desk, "b")
    claimed = await desk.claim()
    assert [run for run, _ in claimed] == [mine[0], other, mine[1]]
    load = (await measure(client)).queues["runs"]
    assert (load.ready, load.parked, load.running) == (0, 3, 3)
    assert load.longest_wait is None  # for a worker: there might be more of them, and nothing would go on
    # Nobody looks at what is parked until a slot is free.
    await token_rests(client)
    assert await desk.claim() == []
    assert not await token_rests(client)
    for run, token in claimed:
        await end(desk, run, token)
    assert await drain(desk) == mine[2:]
    assert (await measure(client)).queues["runs"].parked == 0


async def test_a_slot_is_free_again_however_its_run_leaves_it(client: Client, desk: Desk) -> None:
    async def held() -> int:
        return int(await client.command("SCARD", client.keys.holders("graph slow")))

    threads = [await desk.open() for _ in range(2)]
    first, second = [await desk.create(thread, assistant_id="slow") for thread in threads]
    ((run, token),) = await desk.claim()
    assert (run, await held()) == (first, 1)
    await client.script("run_hand_back", run_id=run, token=token)
    assert await held() == 0

    ((run, token),) = await desk.claim()
    assert run == first, "it has its old place"
    await desk.lease("doomed")
    await client.script("worker_release", worker=desk.worker, crashed=True, max_crashes=3)
    assert await held() == 0
    await desk.lease(desk.worker)

    ((run, token),) = await desk.claim()
    await cancel(client, threads[0], run, "interrupt", "test")
    assert await held() == 1, "its worker has not stopped it yet"
    await desk.finish(run, token, "interrupted", handled="interrupt")
    ((run, token),) = await desk.claim()
    assert run == second
    await ThreadStore(client).delete(threads[1])
    desk.forget(threads[1])
    assert await held() == 0
    await client.script("worker_release", worker="doomed", crashed=False, max_crashes=3)


async def test_a_called_run_that_goes_passes_its_call_on(client: Client, desk: Desk) -> None:
    runs = [await send(desk, "a", "slow") for _ in range(3)]
    ((_, token),) = await desk.claim()
    await token_rests(client)
    await desk.claim()
    await end(desk, runs[0], token)
    # The second was called, and is cancelled before anybody looks.
    thread = str(await desk.field(runs[1], "thread"))
    await cancel(client, thread, runs[1], "interrupt", "test")
    desk.forget(thread)
    assert await drain(desk) == [runs[2]]


async def test_a_run_that_two_limits_hold_up_stands_in_no_other_runs_way(client: Client, desk: Desk) -> None:
    mine = [await send(desk, "a") for _ in range(2)]
    both = await send(desk, "a", "slow")  # its tenant is full first
    other = await send(desk, "b", "slow")
    claimed = dict(await desk.claim())
    assert set(claimed) == {*mine, other}
    third = await send(desk, "c", "slow")
    assert await desk.claim() == []
    # The graph's slot calls for the third, the tenant's for the one that both hold up.
    await end(desk, other, claimed[other])
    ((run, token),) = await desk.claim()
    assert run == third
    await end(desk, mine[0], claimed[mine[0]])
    assert await desk.claim() == []
    await end(desk, third, token)
    await token_rests(client)
    ((run, token),) = await desk.claim()
    assert run == both
    await end(desk, both, token)
    await end(desk, mine[1], claimed[mine[1]])


async def test_a_called_run_that_another_limit_holds_up_passes_its_call_on(client: Client, desk: Desk) -> None:
    first = await send(desk, "b", "slow")
    held = dict(await desk.claim())
    mine, other = await send(desk, "a", "slow"), await send(desk, "c", "slow")
    assert await desk.claim() == []
    full = [await send(desk, "a") for _ in range(2)]
    held |= dict(await desk.claim())
    assert set(held) == {first, *full}
    await token_rests(client)
    await end(desk, first, held[first])  # it calls for the one of the tenant that is full
    assert await drain(desk) == [other]
    await end(desk, full[0], held[full[0]])
    assert await drain(desk) == [mine]
    await end(desk, full[1], held[full[1]])


async def test_a_limit_counts_over_all_queues_and_a_paused_one_keeps_no_call(client: Client, desk: Desk) -> None:
    paused = await send(desk, "a", "slow")
    await client.command("HSET", client.keys.queues(), "batch", "open")
    # As a gateway with such a queue makes one.
    other = await send(desk, "b", "slow")
    for key in (client.keys.queue, client.keys.line):
        await client.command("ZREM", key("runs"), other)
    await client.command("HSET", client.keys.run(other), "queue", "batch")
    await client.script("repair_threads", max_crashes=3, thread_ids=[str(await desk.field(other, "thread"))])

    async def claim() -> list[tuple[str, str]]:
        answer = await client.script(
            "run_claim", worker=desk.worker, request=paused + str(len(calls)), lease=10_000, max_crashes=3,
            limits=desk.limits, shares="", rooms=["runs", 4, "batch", 4],
        )  # fmt: skip
        calls.append(1)
        return [(row[0].decode(), row[2].decode()) for row in answer[1:]]

    calls: list[int] = []
    blocker = await send(desk, "c", "slow")
    ((run, token),) = [(run, token) for run, token in await claim() if run in (paused, other, blocker)]
    first = {run}
    await pause(client, "runs")
    await end(desk, run, token)
    claimed = await claim()
    if run != other:
        assert [found for found, _ in claimed] == [other]
        await end(desk, *claimed[0])
        first.add(other)
    await resume(client, "runs")
    while claimed := await claim():
        ((run, token),) = claimed
        first.add(run)
        await end(desk, run, token)
    assert first == {paused, other, blocker}


async def test_a_limit_that_was_raised_or_taken_away_lets_them_all_go(desk: Desk) -> None:
    runs = [await send(desk, "a") for _ in range(6)]
    held = await desk.claim()
    assert len(held) == 2
    desk.limits = ""
    await end(desk, *held[0])
    taken = {held[0][0]}
    while claimed := await desk.claim():
        taken |= {run for run, _ in claimed}
        for run, token in claimed:
            await end(desk, run, token)
    await end(desk, *held[1])
    assert taken | {held[1][0]} == set(runs)


async def test_runs_that_others_wait_for_need_no_slot_of_a_limit(desk: Desk) -> None:
    outer = await send(desk, "a", "slow")
    ((_, token),) = await desk.claim()
    inner = await desk.create(None, user=RunUser("a"), assistant_id="slow", config={"configurable": {"run_id": outer}})
    desk.adopt(str(await desk.field(inner, "thread")))
    ((run, inner_token),) = await desk.claim()
    assert run == inner
    await end(desk, inner, inner_token)
    await end(desk, outer, token)


async def test_very_many_parked_runs_are_looked_at_once(client: Client, desk: Desk) -> None:
    """A claim parks a bounded number, and a token calls for the next until all are."""
    for _ in range(120):
        await send(desk, "a", "slow")
    ((run, token),) = await desk.claim()
    claims = 0
    while await token_rests(client):
        assert await desk.claim() == []
        claims += 1
    assert 1 <= claims <= 4
    assert (await measure(client)).queues["runs"].parked == 119
    await end(desk, run, token)
    ((run, token),) = await desk.claim()
    await end(desk, run, token)
