"""Protocol v2: commands over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_protocol import protocol as definitions
from pydantic import TypeAdapter

from lineshaft.config.settings import Settings
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_api.v2 import pause

from .gateway import Attempt, Gateway, serving

ASKED = b'{"task":[{"id":"i1","value":"sure?"},{"id":"i2","value":"really?"}]}'


@pytest.fixture
async def gateway(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(client, settings) as gateway:
        yield gateway


async def command(gateway: Gateway, thread: str, method: str, params: Any = None) -> dict[str, Any]:
    """The reply."""
    body = {"id": 7, "method": method, **({} if params is None else {"params": params})}
    reply: dict[str, Any] = await gateway.json("POST", f"/threads/{thread}/commands", json=body)
    assert reply["id"] == 7
    shape: Any = definitions.CommandResponse if reply["type"] == "success" else definitions.ErrorResponse
    TypeAdapter(shape).validate_python(reply)
    return reply


async def start(gateway: Gateway, thread: str, graph_input: Any = None, **params: Any) -> str:
    """`run.start`; the run's id."""
    reply = await command(gateway, thread, "run.start", {"assistant_id": "g", "input": graph_input, **params})
    assert reply["type"] == "success", reply
    assert reply["meta"] == {"applied_through_seq": 0}
    return str(reply["result"]["run_id"])


async def ask(gateway: Gateway, thread: str) -> Attempt:
    """A run that has asked something, but has not ended."""
    await start(gateway, thread)
    attempt = await gateway.claim()
    await attempt.emit("input.requested", {"interrupt_id": "i1", "payload": "sure?"})
    return attempt


async def end(attempt: Attempt) -> None:
    await attempt.finish(thread_status="interrupted", interrupts=ASKED)


async def paused(gateway: Gateway) -> str:
    """A thread that waits for answers."""
    thread = await gateway.thread()
    await end(await ask(gateway, thread))
    return thread


async def asked_for(gateway: Gateway, thread: str, run: str) -> dict[str, Any]:
    """The run's input and command, as its record shows them."""
    record = await gateway.json("GET", f"/threads/{thread}/runs/{run}")
    return {name: record["kwargs"][name] for name in ("input", "command")}


async def newest(gateway: Gateway, thread: str) -> dict[str, Any]:
    record: dict[str, Any] = (await gateway.json("GET", f"/threads/{thread}/runs"))[0]
    return record


# envelopes
@pytest.mark.parametrize(
    ("body", "ident"),
    [
        ("[]", None),
        ('"x"', None),
        ("{}", None),
        ('{"id":"1","method":"run.start"}', None),
        ('{"id":true,"method":"run.start"}', None),
        ('{"id":3}', 3),
        ('{"id":3,"method":4}', 3),
    ],
)
async def test_what_is_no_command(gateway: Gateway, body: str, ident: int | None) -> None:
    reply = await gateway.json("POST", f"/threads/{uuid7()}/commands", 400, data=body)
    assert (reply["type"], reply["id"], reply["error"]) == ("error", ident, "invalid_argument")


@pytest.mark.parametrize("body", ["", "{", "\x00"])
async def test_what_is_no_json(gateway: Gateway, body: str) -> None:
    answer = await gateway.json("POST", f"/threads/{uuid7()}/commands", 400, data=body)
    assert answer == {"detail": "Invalid JSON body"}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("run.start", []),
        ("run.start", {"assistant_id": 1}),
        ("run.start", {"assistant_id": "g", "config": 1}),
        ("run.start", {"assistant_id": "g", "langsmith_tracer": "text"}),
        ("run.start", {"assistant_id": "g", "config": {"configurable": {"checkpoint_id": 1}}}),
        ("input.respond", {"responses": [{"response": 1}]}),
        ("input.respond", {"responses": 1}),
        ("subscription.subscribe", {}),
        ("subscription.reconnect", {"channels": []}),
    ],
)
async def test_params_that_cannot_be_used(gateway: Gateway, method: str, params: Any) -> None:
    reply = await command(gateway, await gateway.thread(), method, params)
    assert reply["error"] == "invalid_argument" and reply["message"]


async def test_a_subscription_ends_with_its_request(gateway: Gateway) -> None:
    thread = await gateway.thread()
    reply = await command(gateway, thread, "subscription.subscribe", {"channels": ["values"]})
    assert reply["result"]["replayed_events"] == 0
    again = await command(gateway, thread, "subscription.unsubscribe", reply["result"])
    assert again["error"] == "no_such_subscription"
    reconnected = await command(gateway, thread, "subscription.reconnect", {"channels": ["values"], "since": 1})
    assert reconnected["error"] == "no_such_run"


# run.start
async def test_an_input_comes_as_it_was_sent(gateway: Gateway) -> None:
    thread = await gateway.thread()
    body = b'{"id":1,"method":"run.start","params":{"assistant_id":"g","input":{"n":9223372036854775807,"e":[]}}}'
    reply = await gateway.json("POST", f"/threads/{thread}/commands", data=body)
    record = await gateway.json("GET", f"/threads/{thread}/runs/{reply['result']['run_id']}")
    assert record["kwargs"]["input"] == {"n": 9223372036854775807, "e": []}
    assert record["kwargs"]["stream_mode"][:3] == ["values", "updates", "messages"]


@pytest.mark.parametrize(
    ("params", "strategy"),
    [
        ({}, "enqueue"),
        ({"multitaskStrategy": "interrupt"}, "interrupt"),
        ({"multitaskStrategy": "nope"}, "enqueue"),
        ({"multitaskStrategy": []}, "enqueue"),
        ({"multitask_strategy": "interrupt"}, "enqueue"),
    ],
)
async def test_strategies(gateway: Gateway, params: dict[str, Any], strategy: str) -> None:
    thread = await gateway.thread()
    await start(gateway, thread, 1, **params)
    assert (await newest(gateway, thread))["multitask_strategy"] == strategy


async def test_a_busy_thread_refuses_at_once(gateway: Gateway) -> None:
    thread = await gateway.thread()
    await start(gateway, thread)
    await gateway.claim()
    params = {"assistant_id": "g", "input": 1, "multitaskStrategy": "reject"}
    async with asyncio.timeout(pause.PATIENCE / 2):
        reply = await command(gateway, thread, "run.start", params)
    assert reply["error"] == "unknown_error" and reply["message"].startswith("409: ")


async def test_a_run_waits_its_turn_at_once(gateway: Gateway) -> None:
    """Only a run that has asked something is waited for, since then the input may be the answer."""
    thread = await gateway.thread()
    await start(gateway, thread)
    attempt = await gateway.claim()
    await attempt.emit("values", {"log": []})
    async with asyncio.timeout(pause.PATIENCE / 2):
        run = await start(gateway, thread, {"n": 1})
    assert await asked_for(gateway, thread, run) == {"input": {"n": 1}, "command": None}


@pytest.mark.parametrize("answer", ["yes", {"i1": "yes", "i2": "no"}, 0, False])
async def test_an_input_answers_what_the_thread_waits_for(gateway: Gateway, answer: Any) -> None:
    thread = await paused(gateway)
    run = await start(gateway, thread, answer)
    assert await asked_for(gateway, thread, run) == {"input": None, "command": {"resume": answer}}


@pytest.mark.parametrize("answer", [{"i1": "yes"}, "yes"])
async def test_an_answer_is_made_out_to_the_one_question(gateway: Gateway, answer: Any) -> None:
    """Else it could go to another that has come in its place meanwhile."""
    thread = await gateway.thread()
    attempt = await ask(gateway, thread)
    await attempt.finish(thread_status="interrupted", interrupts=b'{"task":[{"id":"i1","value":"sure?"}]}')
    run = await start(gateway, thread, answer)
    assert await asked_for(gateway, thread, run) == {"input": None, "command": {"resume": {"i1": "yes"}}}


async def test_no_input_answers_nothing(gateway: Gateway) -> None:
    thread = await paused(gateway)
    run = await start(gateway, thread, None)
    assert await asked_for(gateway, thread, run) == {"input": None, "command": None}


async def test_an_input_at_a_checkpoint_answers_nothing(gateway: Gateway) -> None:
    thread, checkpoint = await gateway.thread(), uuid7()
    attempt = await ask(gateway, thread)
    await gateway.client.script(
        "checkpoint_put", run_id=attempt.run, token=attempt.token, owner=attempt.run, thread_id=thread, ns="",
        checkpoint_id=checkpoint, header=b"h", anatomy_text="\1\1a\0" + "1", values=["a\0" + "1", b"v"],
    )  # fmt: skip
    await end(attempt)
    run = await start(gateway, thread, {"n": 1}, config={"configurable": {"checkpoint_id": checkpoint}})
    assert await asked_for(gateway, thread, run) == {"input": {"n": 1}, "command": None}


async def test_an_answer_waits_for_the_end_of_the_run_that_has_asked(gateway: Gateway) -> None:
    """Clients see the question before its run has ended."""
    thread = await gateway.thread()
    attempt = await ask(gateway, thread)
    starting = asyncio.create_task(start(gateway, thread, "yes"))
    await gateway.watched(thread)
    await end(attempt)
    assert await asked_for(gateway, thread, await starting) == {"input": None, "command": {"resume": "yes"}}


async def test_of_two_answers_one_is_an_input(gateway: Gateway) -> None:
    thread = await paused(gateway)
    runs = await asyncio.gather(*(start(gateway, thread, word) for word in ("one", "two")))
    asked = [await asked_for(gateway, thread, run) for run in runs]
    assert sorted(one["command"] is None for one in asked) == [False, True]


async def test_a_node_cannot_start_a_run_that_its_own_would_wait_for(gateway: Gateway) -> None:
    thread = await gateway.thread()
    parent = await start(gateway, thread)
    await gateway.claim()
    config = {"configurable": {"run_id": parent}}
    reply = await command(gateway, thread, "run.start", {"assistant_id": "g", "input": 1, "config": config})
    assert reply["error"] == "invalid_argument" and "its own thread" in reply["message"]
    other = await gateway.thread()
    assert await start(gateway, other, 1, config=config)


# input.respond
async def test_one_answer(gateway: Gateway) -> None:
    thread = await paused(gateway)
    params = {"interrupt_id": "i1", "response": {"ok": True}, "namespace": ["anywhere"], "metadata": {"m": 1}}
    params |= {"update": {"k": 1}, "goto": "node", "config": {"tags": ["t"]}}
    assert (await command(gateway, thread, "input.respond", params))["result"] == {}
    record = await newest(gateway, thread)
    assert record["kwargs"]["command"] == {"resume": {"i1": {"ok": True}}, "update": {"k": 1}, "goto": "node"}
    assert record["metadata"]["m"] == 1 and record["kwargs"]["config"]["tags"] == ["t"]


async def test_several_answers(gateway: Gateway) -> None:
    thread = await paused(gateway)
    responses = [{"interrupt_id": ident, "response": ident.upper()} for ident in ("i1", "i2")]
    assert (await command(gateway, thread, "input.respond", {"responses": responses}))["type"] == "success"
    assert (await newest(gateway, thread))["kwargs"]["command"] == {"resume": {"i1": "I1", "i2": "I2"}}


async def test_an_answer_to_nothing(gateway: Gateway) -> None:
    thread = await paused(gateway)
    responses = [{"interrupt_id": ident, "response": 1} for ident in ("i1", "i3")]
    reply = await command(gateway, thread, "input.respond", {"responses": responses})
    assert (reply["error"], reply["message"]) == (
        "no_such_interrupt", "Unknown or already-consumed interrupt: i3",
    )  # fmt: skip
    unknown = await command(gateway, uuid7(), "input.respond", {"interrupt_id": "i1", "response": 1})
    assert unknown["error"] == "no_such_run"


async def test_a_command_that_cannot_be_used(gateway: Gateway) -> None:
    thread = await paused(gateway)
    params = {"interrupt_id": "i1", "response": 1, "goto": ["a", {"node": "b"}]}
    reply = await command(gateway, thread, "input.respond", params)
    assert reply["error"] == "unknown_error" and reply["message"].startswith("422: command: ")


async def test_a_response_waits_for_the_end_of_the_run_that_has_asked(gateway: Gateway) -> None:
    thread = await gateway.thread()
    attempt = await ask(gateway, thread)
    params = {"interrupt_id": "i1", "response": "yes"}
    responding = asyncio.create_task(command(gateway, thread, "input.respond", params))
    await gateway.watched(thread)
    await end(attempt)
    assert (await responding)["type"] == "success"


async def test_a_response_does_not_wait_for_ever(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "PATIENCE", 0.2)
    thread = await gateway.thread()
    await ask(gateway, thread)
    reply = await command(gateway, thread, "input.respond", {"interrupt_id": "i1", "response": "yes"})
    assert reply["error"] == "no_such_interrupt"


async def test_of_two_responses_one_is_too_late(gateway: Gateway) -> None:
    thread = await paused(gateway)
    params = {"interrupt_id": "i1", "response": "yes"}
    responding = [asyncio.create_task(command(gateway, thread, "input.respond", params)) for _ in range(2)]
    attempt = await gateway.claim()
    await attempt.finish()
    replies = await asyncio.gather(*responding)
    assert sorted(reply.get("error", "") for reply in replies) == ["", "no_such_interrupt"]
    assert len(await gateway.json("GET", f"/threads/{thread}/runs")) == 2
