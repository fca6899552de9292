"""Large values travel in slices: no command brings Redis, or asks of it, many MiB in one piece."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw
from typing_extensions import override

from lineshaft.assistants.queries import Kind, Queries, StateQuery
from lineshaft.errors import TooLarge
from lineshaft.redis.client import Client
from lineshaft.redis.wire import Wire
from lineshaft.runs.run import RunStore
from lineshaft.threads.copies import copy_thread
from lineshaft.threads.export import export_thread
from lineshaft.threads.messages import MessageStore
from lineshaft.threads.search import Filter, ThreadSearch
from lineshaft.threads.thread import ThreadStore
from lineshaft.webhooks.calls import Webhooks
from tests.shared.whole_log import whole_log

from .asker import Asker
from .in_process import Office

MIB = 1024 * 1024
BIG = "y" * (6 * MIB)
# A slice, and what is with it; some slices.
SENT, ANSWERED = MIB + 64 * 1024, 4 * MIB + 64 * 1024

Heaviest = Callable[[], tuple[int, int]]


def _weight(part: Any) -> int:
    if isinstance(part, list | tuple):
        return sum(map(_weight, part))
    return len(part) if isinstance(part, bytes | str) else 8


@pytest.fixture
def heaviest(monkeypatch: pytest.MonkeyPatch) -> Heaviest:
    """Bytes of the largest command since it was asked last, and of the largest answer."""
    sent, answered = [0], [0]
    send = Wire.send

    async def weighed(self: Wire, *commands: tuple[Any, ...]) -> list[Any]:
        answers = await send(self, *commands)
        sent.append(max(map(_weight, commands)))
        answered.append(max(map(_weight, answers)))
        return answers

    def heaviest() -> tuple[int, int]:
        found = max(sent), max(answered)
        sent[:], answered[:] = [0], [0]
        return found

    monkeypatch.setattr(Wire, "send", weighed)
    return heaviest


@pytest.mark.usefixtures("worker")
async def test_a_run_with_a_large_input_and_a_webhook(office: Office, client: Client, heaviest: Heaviest) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": [BIG]}, webhook="http://example.com/hook") == "success"
    assert [entry.event for entry in await whole_log(client, thread)][-2:] == ["values", "end"]
    call, _ = await Webhooks(client).claim("q", 10)
    assert call is not None
    body = json.loads(await Webhooks(client).body(call, 0))
    assert body["values"]["log"] == [BIG, "a", "b", "c"]
    assert body["kwargs"]["input"] == {"log": [BIG]}
    blobs = await client.command("KEYS", client.keys.blob("*"))
    await Webhooks(client).note(call, "delivered", "HTTP 200")
    assert len(await client.command("KEYS", client.keys.blob("*"))) == len(blobs) - 1
    sent, answered = heaviest()
    assert (sent <= SENT, answered <= ANSWERED) == (True, True), (sent, answered)


@pytest.mark.usefixtures("worker")
async def test_what_shows_a_large_state(office: Office, client: Client, asker: Asker, heaviest: Heaviest) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": [BIG]}) == "success"
    heaviest()
    values = {"log": [BIG, "a", "b", "c"]}

    assert (await asker.stored(thread))["values"] == values
    assert (await office.shown(thread))["values"] == values
    assert await MessageStore(client).list(thread) is not None
    assert (await RunStore(client).page(thread, limit=10, offset=0))[0].kwargs["input"] is not None
    assert len((await ThreadSearch(client).search(Filter(), limit=10, offset=0)).rows) == 1
    await asker.ask("update", thread, values={"log": ["more"]}, as_node="c")
    assert (await asker.stored(thread))["values"] == {"log": [*values["log"], "more"]}

    sent, answered = heaviest()
    assert (sent <= SENT, answered <= ANSWERED) == (True, True), (sent, answered)


@pytest.mark.usefixtures("worker")
async def test_a_state_that_is_replaced_leaves_nothing(office: Office, client: Client) -> None:
    thread = (await ThreadStore(client).create()).thread_id
    for _ in range(3):
        assert await office.run("linear", thread, {"log": [BIG[:MIB]]}) == "success"
    keys = await client.command("KEYS", client.keys.thread_state(thread, "*"))
    lifetimes = sorted([await client.command("TTL", key) for key in keys])
    assert lifetimes[0] == -1
    # Who reads a former one now, has some seconds for that.
    assert all(0 <= seconds <= 15 for seconds in lifetimes[1:])
    await ThreadStore(client).delete(thread)
    assert not [key for key in keys if await client.command("TTL", key) == -1]


async def test_the_slices_of_a_state_that_came_twice(office: Office, client: Client) -> None:
    """The answer to a run's end is lost, and all of it is sent again: what is stored by then must not expire."""
    thread = await office.open()
    args = {"thread_id": thread, "state_id": "i", "number": 0, "slice": b"{}"}
    await client.script("state_slice", **args)
    run = await office.create(thread)
    ((_, token),) = await office.claim()
    await office.finish(run, token, state=b"si.2")

    await client.script("state_slice", **args)

    key = client.keys.thread_state(thread, "i")
    assert (await client.command("TTL", key), await client.command("LRANGE", key, 0, -1)) == (-1, [b"{}"])


async def test_a_large_answer(office: Office, client: Client, heaviest: Heaviest) -> None:
    await office.thread()
    blocking = client.blocking()
    queries = Queries(client, blocking)
    query = StateQuery(query_id="q", kind="history", thread_id="t", graph_id="g")
    value = json.dumps(BIG).encode()

    await queries.answer(query, Raw(value))

    (head,) = await client.command("LRANGE", client.keys.query_answer("q"), 0, -1)
    assert len(head) < 100
    await blocking.aclose()
    sent, answered = heaviest()
    assert (sent <= SENT, answered <= ANSWERED) == (True, True), (sent, answered)


@pytest.mark.usefixtures("worker")
async def test_an_answer_has_a_limit(
    office: Office, client: Client, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": ["x" * 1_000]}) == "success"
    monkeypatch.setattr("lineshaft.redis.slices.ANSWER_BYTES", 2_000)
    assert len(await asker.ask("history", thread, limit=1)) == 1
    assert len(await RunStore(client).page(thread, limit=1, offset=0)) == 1
    monkeypatch.setattr("lineshaft.redis.slices.ANSWER_BYTES", 100)
    for answer in (
        asker.ask("history", thread, limit=1),
        RunStore(client).page(thread, limit=1, offset=0),
        ThreadSearch(client).search(Filter(), limit=10, offset=0),
    ):
        with pytest.raises(TooLarge, match="ask for fewer at once"):
            await answer


class Direct(Queries):
    """Asks without a lane."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    @override
    async def ask(self, kind: Kind, thread_id: str, graph_id: str, **args: Any) -> Raw:
        return Raw(json.dumps(await self._asker.ask(kind, thread_id, graph_id, **args)).encode())


@pytest.mark.usefixtures("worker")
async def test_an_export_asks_for_fewer_states_when_they_are_too_large(
    office: Office, client: Client, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": ["x" * 1_000]}) == "success"
    states = await asker.ask("history", thread, limit=10)
    monkeypatch.setattr("lineshaft.redis.slices.ANSWER_BYTES", 4_000)
    with pytest.raises(TooLarge):
        await asker.ask("history", thread, limit=10)
    lines = [line async for line in export_thread(client, Direct(asker), thread)]
    assert [json.loads(bytes(line.state)) for line in lines if line.state] == states
    monkeypatch.setattr("lineshaft.redis.slices.ANSWER_BYTES", 100)
    with pytest.raises(TooLarge):
        [line async for line in export_thread(client, Direct(asker), thread)]


@pytest.mark.usefixtures("worker")
async def test_a_thread_with_large_values_is_copied_in_slices(
    office: Office, client: Client, asker: Asker, heaviest: Heaviest
) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": [BIG]}) == "success"
    heaviest()
    copied = await copy_thread(client, thread)
    sent, answered = heaviest()
    assert sent <= SENT and answered <= ANSWERED
    assert await asker.stored(copied) is not None
    history = await asker.ask("history", copied, limit=10)
    assert [state["values"] for state in history] == [
        state["values"] for state in await asker.ask("history", thread, limit=10)
    ]
    assert {state["checkpoint"]["thread_id"] for state in history} == {copied}
