"""Joining a run that is there already: its end, or its stream."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api import follow
from tests.shared.until import until

from .gateway import Gateway, events, frames, replayed, running, serving


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def test_join_waits_for_the_end(gateway: Gateway) -> None:
    thread = await gateway.thread()
    path = f"/threads/{thread}/runs/{await gateway.create(thread)}"
    before = await gateway.ask("GET", f"{path}/join")
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 1})
    midway = await gateway.ask("GET", f"{path}/join")
    await gateway.watched(thread, 2)
    await attempt.finish()
    # Who joins midway has missed the only values, and is answered all the same.
    for joining in (before, midway):
        response, body = await joining
        assert body == b'{"n":1}'
        assert response.headers["Location"] == f"{path}/join"
        assert response.headers["Content-Location"] == path


ERROR = b'{"error":"ValueError","message":"boom"}'


@pytest.mark.parametrize(
    ("finish", "answer"),
    [
        ({"state": b'{"values":{"n":3}}'}, b'{"n":3}'),
        ({"status": "error", "error": ERROR, "thread_status": "error"}, b'{"__error__":' + ERROR + b"}"),
        (
            {"state": b'{"values":{"n":3}}', "interrupts": b'{"task":[{"id":"1"}]}', "thread_status": "interrupted"},
            b'{"__interrupt__":[{"id":"1"}]}',
        ),
    ],
)
async def test_join_of_a_finished_run_answers_from_the_thread(
    gateway: Gateway, finish: dict[str, Any], answer: bytes
) -> None:
    attempt, path = await running(gateway)
    await attempt.finish(**finish)
    async with gateway.http.get(f"{path}/join") as response:
        assert await response.read() == answer


async def test_join_of_an_older_run_answers_what_the_thread_shows_now(gateway: Gateway) -> None:
    attempt, path = await running(gateway)
    await attempt.finish(state=b'{"values":{"n":1}}')
    await gateway.create(attempt.thread)
    await (await gateway.claim()).finish(state=b'{"values":{"n":2}}')
    assert await gateway.json("GET", f"{path}/join") == {"n": 2}


async def test_join_of_a_temporary_run_whose_log_has_gone_too(gateway: Gateway, client: Client) -> None:
    await gateway.thread()
    await gateway.json("POST", "/runs", json={"assistant_id": "g"})
    attempt = await gateway.claim()
    await attempt.finish(entries=["values", "d", '{"n":1}'])
    path = f"/threads/{attempt.thread}/runs/{attempt.run}"
    assert await gateway.json("GET", f"{path}/join") == {"n": 1}
    await client.command("DEL", client.keys.run(attempt.run), client.keys.thread_events(attempt.thread))
    await gateway.json("GET", f"{path}/join", 404)


@pytest.mark.parametrize("kind", ["join", "stream"])
async def test_join_of_an_unknown_run(gateway: Gateway, kind: str) -> None:
    thread = await gateway.thread()
    await gateway.json("GET", f"/threads/{thread}/runs/{uuid.uuid4()}/{kind}", 404)
    attempt, _ = await running(gateway)
    await gateway.json("GET", f"/threads/{thread}/runs/{attempt.run}/{kind}", 404)


@pytest.mark.parametrize("last_id", [None, "0"])
@pytest.mark.parametrize("resumable", [False, True])
async def test_who_joins_a_pending_run_sees_it_all(gateway: Gateway, last_id: str | None, resumable: bool) -> None:
    thread = await gateway.thread()
    path = f"/threads/{thread}/runs/{await gateway.create(thread, stream_resumable=resumable)}"
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    joining = [await gateway.ask("GET", f"{path}/stream", headers=headers) for _ in range(3)]
    attempt = await gateway.claim()
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    for one in joining:
        response, body = await one
        assert [event for event, _ in events(body)] == ["metadata", "values"]
        assert response.headers["Location"] == f"{path}/stream"
        assert response.headers["Content-Location"] == path
        assert all((ident is not None) is resumable for _, _, ident in frames(body))


@pytest.mark.parametrize(("resumable", "last_id"), [(False, None), (False, "0"), (True, None)])
async def test_who_joins_a_running_run_sees_what_comes_from_now_on(
    gateway: Gateway, resumable: bool, last_id: str | None
) -> None:
    attempt, path = await running(gateway, stream_resumable=resumable)
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    joining = await gateway.ask("GET", f"{path}/stream", headers=headers)
    await gateway.watched(attempt.thread)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    assert events((await joining)[1]) == [("values", {"n": 1})]


async def test_a_finished_run_that_is_not_resumable_is_silent(gateway: Gateway) -> None:
    attempt, path = await running(gateway)
    await attempt.finish()
    for last_id in (None, "0"):
        assert await replayed(gateway, path, last_id) == []


async def test_modes_are_chosen_among_those_of_the_run(gateway: Gateway) -> None:
    attempt, path = await running(gateway, stream_resumable=True, stream_mode=["values", "updates", "messages"])
    await attempt.emit("updates", {"a": 1})
    await attempt.emit("values|sub:1", {"n": 1})
    await attempt.emit("messages/partial", [])
    await attempt.finish("error", entries=["error", "d", '{"error":"E","message":"m"}'])

    async def names(query: str) -> list[str]:
        headers = {"Last-Event-ID": "0"}
        async with gateway.http.get(f"{path}/stream?{query}", headers=headers) as response:
            assert response.status == 200, await response.text()
            return [event for event, _ in events(await response.read())]

    # An error is nobody's mode: who watches must know.
    assert await names("stream_mode=updates") == ["updates", "error"]
    assert await names("stream_mode=values") == ["values", "values|sub:1", "error"]
    assert await names("stream_mode=messages&stream_mode=metadata") == ["metadata", "messages/partial", "error"]
    assert await names("stream_mode=updates,metadata") == ["metadata", "updates", "error"]
    assert await names('stream_mode=["updates","messages-tuple"]') == ["updates", "messages/partial", "error"]
    assert await names("stream_mode=custom") == ["error"]
    for wrong in ("[", "[1]"):
        detail = (await gateway.json("GET", f"{path}/stream?stream_mode={wrong}", 422))["detail"]
        assert "neither a mode nor a JSON list of modes" in detail


async def test_a_mode_the_run_does_not_have_is_a_stream_that_just_ends(gateway: Gateway) -> None:
    attempt, path = await running(gateway)
    joining = await gateway.ask("GET", f"{path}/stream?stream_mode=custom")
    await gateway.watched(attempt.thread)
    await attempt.emit("values", {"n": 1})
    await attempt.finish()
    assert (await joining)[1] == b""


async def test_who_sees_nothing_of_a_loud_run_hears_a_heartbeat(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy cut the connection of a reader of one mode while the run sent others."""
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.2)
    attempt, path = await running(gateway)
    async with gateway.http.get(f"{path}/stream?stream_mode=custom") as response:
        beating = asyncio.create_task(response.content.readuntil(b"\r\n\r\n"))

        async def noise() -> bool:
            await attempt.emit("values", 1)
            return beating.done()

        await until(noise, "a heartbeat")
        assert await beating == b": heartbeat\r\n\r\n"
        await attempt.finish()


@pytest.mark.parametrize("kind", ["join", "stream"])
async def test_who_joins_may_cancel_by_going(gateway: Gateway, kind: str) -> None:
    attempt, path = await running(gateway)
    staying = await gateway.ask("GET", f"{path}/stream")
    going = await gateway.http.get(f"{path}/{kind}?cancel_on_disconnect=true")
    await gateway.watched(attempt.thread, 2)
    going.close()

    async def cancelled() -> bool:
        return await gateway.desk.field(attempt.run, "cancel") == "interrupt"

    await until(cancelled, "the run is cancelled")
    await attempt.finish("interrupted", handled="interrupt")
    assert (await staying)[1] == b""


@pytest.mark.parametrize("kind", ["join", "stream"])
async def test_who_joins_leaves_the_run_alone_by_going(gateway: Gateway, kind: str) -> None:
    attempt, path = await running(gateway)
    going = await gateway.http.get(f"{path}/{kind}")
    await gateway.watched(attempt.thread)
    going.close()
    await gateway.watched(attempt.thread, 0)
    assert await gateway.desk.field(attempt.run, "cancel") is None
    await attempt.finish()
