"""Redis goes wrong in every way we know: no process exits, new runs are refused for as long, and nothing runs twice."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from tests.system import faults
from tests.system.installation import HeldRun, Installation, RedisServer, ends, enqueue, thread
from tests.system.journal import Journal, until

pytestmark = pytest.mark.xdist_group("redis_trouble")

VEXATIONS = 60

Fault = Callable[[RedisServer], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="module")
def installation(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("trouble"), redis, workers=2) as installation:
        yield installation


@pytest.fixture
async def held(installation: Installation, journal: Journal) -> AsyncIterator[HeldRun]:
    async with HeldRun(installation, journal) as held:
        yield held


async def refused(held: HeldRun) -> str:
    """A new run, now, must be refused, and the client told when to ask again; returns what it is told."""
    answer = await held.http.post(f"/threads/{held.thread_id}/runs", json={"assistant_id": "mark"})
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    return str(answer.json()["detail"])


async def goes_through(redis: RedisServer, held: HeldRun, journal: Journal, fault: Fault) -> None:
    async with fault(redis):
        assert (await refused(held)).startswith("Redis is not available: ")
    thread_id, run_id = await held.another()
    assert await ends(held.http, thread_id, run_id) == "success"
    await held.goes_on()
    assert [line.step for line in journal.lines("ended") if line.name] == [0]


@pytest.mark.parametrize(
    "fault",
    [faults.restarted, faults.killed, faults.loading, faults.frozen, faults.readonly, faults.unable_to_save],
    ids=lambda fault: fault.__name__,
)
async def test_runs_go_on_when_it_is_over(redis: RedisServer, held: HeldRun, journal: Journal, fault: Fault) -> None:
    await goes_through(redis, held, journal, fault)


@pytest.mark.parametrize("way", ["stream", "wait"])
async def test_who_watches_a_run_is_not_cut_off(redis: RedisServer, held: HeldRun, journal: Journal, way: str) -> None:
    """No client has to reconnect: its connection is to a gateway, which lives."""
    body = {
        "assistant_id": "steps",
        "input": journal.input(name="watched", hold=5),
        "stream_mode": ["values", "updates"],
    }
    watching = asyncio.create_task(held.http.post(f"/runs/{way}", json=body, timeout=60))
    await until(lambda: [line for line in journal.lines("began", 5) if line.name], "it runs")
    # Seconds: longer than a silent run is believed in without a look at it, and than the patience for that look.
    async with faults.killed(redis, seconds=10):
        pass
    await held.goes_on()
    answer = await watching
    if way == "wait":
        assert answer.json()["done"] == list(range(10))
    else:
        assert answer.text.count("event: updates") == 10 and "event: error" not in answer.text


@pytest.mark.slow
@pytest.mark.timeout(400)  # seconds: three minutes, and what comes before and after
@pytest.mark.parametrize(
    "fault",
    [partial(faults.killed, seconds=30), partial(faults.frozen, seconds=30), partial(faults.killed, seconds=180)],
    ids=["killed 30", "frozen 30", "killed 180"],
)
async def test_runs_go_on_when_it_was_away_for_long(
    redis: RedisServer, held: HeldRun, journal: Journal, fault: Fault
) -> None:
    await goes_through(redis, held, journal, fault)


async def test_a_run_under_way_ends_at_a_full_redis(redis: RedisServer, held: HeldRun) -> None:
    redis.client.config_set("maxmemory", 1)
    try:
        said = await refused(held)
        assert said.startswith("Redis is full: ") and "raise maxmemory" in said
        await held.goes_on()
    finally:
        redis.client.config_set("maxmemory", 0)
    thread_id, run_id = await held.another()
    assert await ends(held.http, thread_id, run_id) == "success"


async def test_a_nearly_full_redis_is_spared_for_the_runs_it_has(redis: RedisServer, held: HeldRun) -> None:
    # 100 MB, so that what goes on beside is nothing compared with what is free.
    redis.client.setrange("ballast", 100_000_000, "x")
    redis.client.config_set("maxmemory", int(redis.client.info("memory")["used_memory"] / 0.95))
    try:
        said = ""

        async def noticed() -> bool:  # within a second
            nonlocal said
            _, answer = await asyncio.gather(
                held.http.get("/ok"),
                held.http.post(f"/threads/{held.thread_id}/runs", json={"assistant_id": "mark", "after_seconds": 3600}),
            )
            said = answer.text
            return answer.status_code == 503 and answer.headers["retry-after"] == "10"

        await until(noticed, "new runs are refused")
        assert "Redis is nearly full, " in said
        await held.goes_on()
    finally:
        redis.client.config_set("maxmemory", 0)
        redis.client.delete("ballast")
    thread_id, run_id = await held.another()
    assert await ends(held.http, thread_id, run_id) == "success"


async def test_scripts_and_connections_that_vanish_all_the_time(
    redis: RedisServer, held: HeldRun, journal: Journal
) -> None:
    """Redis forgets all scripts and cuts off all clients, again and again, while runs come and go."""
    vexed = 0

    async def vex() -> None:
        nonlocal vexed
        for kind in itertools.cycle(("normal", "pubsub")):
            redis.client.script_flush()
            redis.client.client_kill_filter(_type=kind, skipme=True)
            vexed += 1
            await asyncio.sleep(0.03)  # seconds: time enough to connect, and for some of the work

    async def work(number: int) -> None:
        thread_id = await thread(held.http)
        while vexed < VEXATIONS:
            name = f"{number}.{vexed}"
            run_id = await enqueue(held.http, thread_id, "mark", input=journal.input(name=name))
            assert await ends(held.http, thread_id, run_id) == "success"
            done.append(name)

    done: list[str] = []
    vexing = asyncio.create_task(vex())
    try:
        await asyncio.gather(*(work(number) for number in range(8)))
        await held.goes_on()
    finally:
        vexing.cancel()
        await asyncio.gather(vexing, return_exceptions=True)
    assert len(done) >= 8  # each has worked at least once
    assert sorted(line.name for line in journal.lines("ended") if line.name) == sorted(done)
