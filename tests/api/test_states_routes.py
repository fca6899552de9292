"""The routes of thread states, with a worker that answers by hand."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from lineshaft.assistants.queries import Queries, StateQuery
from lineshaft.config.settings import Settings
from lineshaft.errors import BadRequest, Conflict, LineshaftError
from lineshaft.redis.client import Client
from lineshaft.threads.state import EMPTY_STATE
from lineshaft_api.context import QUERIES

from .gateway import Gateway, serving

EMPTY = msgspec.json.decode(EMPTY_STATE)
STATE = {"values": {"n": 1}, "next": []}
CHECKPOINT = "1ef663ba-28fe-6528-8002-5a559208592c"


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


class Lane:
    """A worker's control lane, played by hand."""

    def __init__(self, queries: Queries, gateway: Gateway) -> None:
        self._queries, self._gateway = queries, gateway

    async def asked(
        self, method: str, path: str, answer: Any = None, status: int = 200, **request: Any
    ) -> tuple[StateQuery, Any]:
        """Send a request that only a worker can answer; the question, and the body its answer makes."""
        asking = asyncio.create_task(self._gateway.json(method, path, status, **request))
        query = await self._queries.take("w")
        assert query is not None
        outcome = answer if isinstance(answer, LineshaftError) else Raw(msgspec.json.encode(answer))
        await self._queries.answer(query, outcome)
        return query, await asking


@pytest.fixture
async def lane(gateway: Gateway, client: Client) -> AsyncIterator[Lane]:
    blocking = client.blocking()
    yield Lane(Queries(client, blocking), gateway)
    await blocking.aclose()


@pytest.fixture
async def fresh(gateway: Gateway) -> str:
    """The path of a thread without checkpoints."""
    return f"/threads/{await gateway.thread()}"


@pytest.fixture
async def used(gateway: Gateway, client: Client) -> str:
    """The path of a thread whose last run has stored its state, at rev 1."""
    thread = await gateway.thread()
    await gateway.create(thread)
    attempt = await gateway.claim()
    await client.command("HSET", client.keys.thread(thread), "rev", 1)
    await attempt.finish(state=msgspec.json.encode(STATE))
    return f"/threads/{thread}"


async def written_since(client: Client, path: str) -> None:
    """A checkpoint behind the stored state, as while a run goes on."""
    await client.command("HINCRBY", client.keys.thread(path.rpartition("/")[2]), "rev", 1)


async def test_an_empty_thread_needs_no_worker(gateway: Gateway, fresh: str) -> None:
    assert await gateway.json("GET", f"{fresh}/state") == EMPTY
    assert await gateway.json("GET", f"{fresh}/state?subgraphs=true") == EMPTY
    assert await gateway.json("POST", f"{fresh}/state/checkpoint", json={"checkpoint": {}}) == EMPTY
    assert await gateway.json("GET", f"{fresh}/history") == []
    assert await gateway.json("POST", f"{fresh}/history", json={}) == []


async def test_an_empty_state_names_the_checkpoint_that_was_asked_for(gateway: Gateway, fresh: str) -> None:
    place = {"checkpoint_id": "nonsense", "checkpoint_ns": "", "thread_id": fresh.rpartition("/")[2]}
    expected = {**EMPTY, "checkpoint": place, "checkpoint_id": "nonsense"}
    assert await gateway.json("GET", f"{fresh}/state/nonsense") == expected
    asked = {"checkpoint_id": "nonsense", "thread_id": "other"}
    assert await gateway.json("POST", f"{fresh}/state/checkpoint", json={"checkpoint": asked}) == expected


async def test_an_empty_thread_of_a_graph_that_nobody_has(gateway: Gateway) -> None:
    thread = await gateway.json("POST", "/threads", json={"metadata": {"graph_id": "nowhere"}})
    path = f"/threads/{thread['thread_id']}"
    for state in ("state", f"state/{CHECKPOINT}"):
        assert (await gateway.json("GET", f"{path}/{state}", 404))["detail"] == "Graph 'nowhere' not found"
    assert await gateway.json("GET", f"{path}/history") == []


async def test_the_stored_state_is_served_as_it_is(gateway: Gateway, used: str) -> None:
    assert await gateway.json("GET", f"{used}/state") == STATE
    assert await gateway.json("GET", f"{used}/state?subgraphs=no") == STATE


async def test_a_newer_state_is_asked_for(lane: Lane, used: str, client: Client) -> None:
    await written_since(client, used)
    query, body = await lane.asked("GET", f"{used}/state", {"values": {"n": 2}})
    assert body == {"values": {"n": 2}}
    assert (query.kind, query.thread_id, query.graph_id) == ("state", used.rpartition("/")[2], "g")
    assert query.args == {"subgraphs": False}


@pytest.mark.parametrize("spelling", ["true", "True"])
async def test_subgraphs_are_asked_for(lane: Lane, used: str, spelling: str) -> None:
    query, _ = await lane.asked("GET", f"{used}/state?subgraphs={spelling}", STATE)
    assert query.args == {"subgraphs": True}


async def test_the_state_at_a_checkpoint(lane: Lane, used: str) -> None:
    query, body = await lane.asked("GET", f"{used}/state/{CHECKPOINT}", STATE)
    assert body == STATE
    assert (query.kind, query.args) == ("state", {"checkpoint": {"checkpoint_id": CHECKPOINT}, "subgraphs": False})
    named = {"checkpoint_id": CHECKPOINT, "checkpoint_ns": "child:1", "checkpoint_map": {"": "x"}, "thread_id": "other"}
    query, _ = await lane.asked(
        "POST", f"{used}/state/checkpoint", STATE, json={"checkpoint": named, "subgraphs": True}
    )
    del named["thread_id"]
    assert query.args == {"checkpoint": named, "subgraphs": True}


@pytest.mark.parametrize(
    ("body", "args"),
    [
        ({"values": {"n": 2}}, {"values": {"n": 2}, "as_node": None, "checkpoint": {}}),
        ({"values": None, "as_node": "a"}, {"values": None, "as_node": "a", "checkpoint": {}}),
        ({"values": [{"a": 1}]}, {"values": [{"a": 1}], "as_node": None, "checkpoint": {}}),
        (
            {"values": {}, "checkpoint_id": CHECKPOINT},
            {"values": {}, "as_node": None, "checkpoint": {"checkpoint_id": CHECKPOINT}},
        ),
        (
            {"values": {}, "checkpoint": {"checkpoint_id": "x", "checkpoint_ns": ""}},
            {"values": {}, "as_node": None, "checkpoint": {"checkpoint_id": "x", "checkpoint_ns": ""}},
        ),
    ],
)
async def test_an_update(lane: Lane, used: str, body: dict[str, Any], args: dict[str, Any]) -> None:
    query, answer = await lane.asked("POST", f"{used}/state", {"checkpoint_id": "new"}, json=body)
    assert answer == {"checkpoint_id": "new"}
    assert (query.kind, query.args) == ("update", args)


@pytest.mark.parametrize(
    ("error", "status"),
    [(Conflict("Thread is busy with a running job."), 409), (BadRequest("no node nope"), 400)],
)
async def test_an_update_that_the_worker_refuses(lane: Lane, used: str, error: LineshaftError, status: int) -> None:
    _, body = await lane.asked("POST", f"{used}/state", error, status, json={"values": {}})
    assert body == {"detail": str(error)}


async def test_an_update_of_a_thread_without_a_graph(gateway: Gateway, fresh: str) -> None:
    body = await gateway.json("POST", f"{fresh}/state", 400, json={"values": {}})
    assert "Thread has no assigned graph ID" in body["detail"]


@pytest.mark.parametrize(
    ("query", "body", "args"),
    [
        ("", None, {"limit": 1, "before": None}),
        (f"?limit=3&before={CHECKPOINT}", None, {"limit": 3, "before": CHECKPOINT}),
        ("", {}, {"limit": 1, "before": None, "metadata": None, "checkpoint": {}}),
        (
            "",
            {"limit": 5, "before": {"configurable": {"checkpoint_id": CHECKPOINT}}, "metadata": {"step": 1}},
            {"limit": 5, "before": CHECKPOINT, "metadata": {"step": 1}, "checkpoint": {}},
        ),
        (
            "",
            {"before": {"checkpoint_id": CHECKPOINT}, "checkpoint": {"checkpoint_ns": "child:1"}},
            {"limit": 1, "before": CHECKPOINT, "metadata": None, "checkpoint": {"checkpoint_ns": "child:1"}},
        ),
    ],
)
async def test_history(lane: Lane, used: str, query: str, body: dict[str, Any] | None, args: dict[str, Any]) -> None:
    method = "GET" if body is None else "POST"
    asked, answer = await lane.asked(method, f"{used}/history{query}", [STATE], json=body)
    assert answer == [STATE]
    assert (asked.kind, asked.args) == ("history", args)


@pytest.mark.parametrize("before", [{}, {"configurable": {}}, {"configurable": 1}, {"checkpoint_id": 1}])
async def test_a_history_before_nothing(gateway: Gateway, used: str, before: dict[str, Any]) -> None:
    body = await gateway.json("POST", f"{used}/history", 422, json={"before": before})
    assert "`before` names no checkpoint_id" in body["detail"]


async def test_threads_that_are_not_there(gateway: Gateway) -> None:
    path = f"/threads/{uuid.uuid4()}"
    for method, rest, body in (
        ("GET", "state", None),
        ("GET", f"state/{CHECKPOINT}", None),
        ("POST", "state/checkpoint", {"checkpoint": {}}),
        ("POST", "state", {"values": {}}),
        ("GET", "history", None),
        ("POST", "history", {}),
    ):
        assert (await gateway.json(method, f"{path}/{rest}", 404, json=body))["detail"].endswith("not found")


async def test_without_a_worker_the_answer_is_503(
    gateway: Gateway, used: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.runner.app[QUERIES], "_patience", 0.2)
    await written_since(client, used)
    async with gateway.http.get(f"{used}/state") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert "No worker is there to answer" in (await response.json())["detail"]
