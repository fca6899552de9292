"""Threads that are created with states: asked of a worker, and gone if they cannot be made."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec import Raw

from lineshaft.assistants.queries import Queries, StateQuery
from lineshaft.config.settings import Settings
from lineshaft.errors import BadRequest, Conflict, LineshaftError
from lineshaft.redis.client import Client

from .gateway import Gateway, publish, serving

STEPS = [{"updates": [{"values": {"a": [1]}, "as_node": "n"}, {"command": {"goto": "m"}, "as_node": "n"}]}]
Answering = Callable[[Raw | LineshaftError], "asyncio.Task[StateQuery]"]


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    await publish(client, "g")
    async with serving(client, settings) as started:
        yield started
    await client.redis.flushall()


@pytest.fixture
async def answering(gateway: Gateway) -> AsyncIterator[Answering]:
    """A worker that answers one question so."""
    blocking = gateway.client.blocking()
    lane = Queries(gateway.client, blocking)

    async def one(outcome: Raw | LineshaftError) -> StateQuery:
        while (query := await lane.take("w")) is None:
            pass
        await lane.answer(query, outcome)
        return query

    yield lambda outcome: asyncio.create_task(one(outcome))
    await blocking.aclose()


async def test_a_worker_is_asked_for_the_states(gateway: Gateway, answering: Answering) -> None:
    thread_id = str(uuid.uuid4())
    asked = answering(Raw(b"null"))
    body = {"thread_id": thread_id, "metadata": {"graph_id": "g"}, "supersteps": STEPS, "if_exists": "do_nothing"}
    thread = await gateway.json("POST", "/threads", json=body)
    query = await asked
    assert (query.kind, query.thread_id, query.graph_id) == ("supersteps", thread_id, "g")
    assert query.args == {"supersteps": [step["updates"] for step in STEPS]}
    assert thread == await gateway.json("GET", f"/threads/{thread_id}")
    # One that is there stays as it is: nobody is asked.
    assert await gateway.json("POST", "/threads", json=body) == thread


async def test_no_thread_is_left_if_its_states_cannot_be_made(gateway: Gateway, answering: Answering) -> None:
    asked = answering(BadRequest("Node n does not exist"))
    body = {"metadata": {"graph_id": "g"}, "supersteps": STEPS}
    assert (await gateway.json("POST", "/threads", 400, json=body))["detail"] == "Node n does not exist"
    await gateway.json("GET", f"/threads/{(await asked).thread_id}", 404)


async def test_a_thread_that_somebody_uses_already_stays(gateway: Gateway, answering: Answering) -> None:
    asked = answering(Conflict("Thread is busy"))
    body = {"metadata": {"graph_id": "g"}, "supersteps": STEPS}
    await gateway.json("POST", "/threads", 409, json=body)
    await gateway.json("GET", f"/threads/{(await asked).thread_id}")


@pytest.mark.parametrize(
    ("metadata", "steps", "status"),
    [
        ({}, STEPS, 400),
        ({"graph_id": "nowhere"}, STEPS, 404),
        ({"graph_id": 1}, STEPS, 404),
        ({"graph_id": "g"}, [{"updates": [{"as_node": "n", "command": {"jump": 1}}]}], 422),
        ({"graph_id": "g"}, [{"updates": [{"as_node": "n", "command": []}]}], 422),
        ({"graph_id": "g"}, STEPS * 1001, 422),
    ],
)
async def test_supersteps_that_cannot_be(gateway: Gateway, metadata: Any, steps: Any, status: int) -> None:
    await gateway.json("POST", "/threads", status, json={"metadata": metadata, "supersteps": steps})
    assert await gateway.json("POST", "/threads/count", json={}) == 0
