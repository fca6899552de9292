"""The lane in which questions are answered, whatever the runs do."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis
from msgspec import Raw

from lineshaft.assistants.queries import Queries
from lineshaft.errors import NotFound
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_worker import control as module
from lineshaft_worker.control import ControlLane
from lineshaft_worker.graphs import Graphs
from tests.shared.until import until

from .in_process import Office


# the lane
@pytest.fixture
async def lane(client: Client, served: Graphs, office: Office) -> AsyncIterator[ControlLane]:
    await office.lease(office.worker)
    lane = ControlLane(client.settings, served, office.worker)
    lane.start()
    yield lane
    lane.stop()
    assert not lane._thread.is_alive()


@pytest.fixture
async def queries(client: Client) -> AsyncIterator[Queries]:
    blocking = client.blocking()
    yield Queries(client, blocking)
    await blocking.aclose()


@pytest.mark.usefixtures("lane")
async def test_the_lane_answers(queries: Queries, office: Office, thread: str) -> None:
    await queries.ask("update", thread, "linear", values={"log": ["x"]}, as_node="a")
    many = await asyncio.gather(*(queries.ask("state", thread, "linear") for _ in range(20)))
    assert {msgspec.json.decode(answer)["values"]["log"][0] for answer in many} == {"x"}
    with pytest.raises(NotFound, match="nowhere"):
        await queries.ask("state", thread, "nowhere")
    assert (await office.shown(thread))["values"] == {"log": ["x"]}


@pytest.mark.usefixtures("lane")
async def test_the_lane_answers_while_the_loop_of_the_runs_is_blocked(queries: Queries, thread: str) -> None:
    asking = asyncio.create_task(queries.ask("state", thread, "linear"))
    await asyncio.sleep(0)
    client = queries._client
    await until(lambda: _offered(client), "it is offered")
    with redis.Redis.from_url(client.settings.redis_uri) as blocking:
        deadline = time.monotonic() + 10  # seconds, on a busy machine
        while not blocking.keys(client.keys.query_answer("*")):  # nor does anything else happen in this loop
            assert time.monotonic() < deadline
            time.sleep(0.01)  # noqa: ASYNC251 - a node that blocks
    assert msgspec.json.decode(await asking)["next"] == []


async def _offered(client: Client) -> bool:
    """Offered, or taken already."""
    offers, taken = await client.commands(("EXISTS", client.keys.queries()), ("KEYS", client.keys.query_taken("*")))
    return bool(offers or taken)


@pytest.mark.usefixtures("lane")
async def test_the_lane_outlives_a_question_that_it_cannot_read(queries: Queries, client: Client, thread: str) -> None:
    """A newer gateway may ask what this worker has never heard of."""
    query_id = uuid7()
    document = {"query_id": query_id, "kind": "prophecy", "thread_id": thread, "graph_id": "linear"}
    await client.command("SET", client.keys.query(query_id), msgspec.json.encode(document), "EX", 10)
    await client.command("RPUSH", client.keys.queries(), query_id)
    assert isinstance(await queries.ask("state", thread, "linear"), Raw)


@pytest.mark.usefixtures("lane")
async def test_factories_that_hang_do_not_keep_the_lane_busy(
    queries: Queries, office: Office, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOO_LONG", 0.2)
    hanging = [asyncio.create_task(queries.ask("state", thread, "slow")) for _ in range(6)]
    await office.entered("opening", times=4)
    assert msgspec.json.decode(await queries.ask("state", thread, "linear"))["next"] == []
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
