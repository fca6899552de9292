"""Protocol v2: POST /threads/{id}/commands."""

import pytest

from tests.contract.runs.calls import get_run, get_thread, new_id, until_status, until_thread
from tests.contract.runs.protocol_v2 import command, start


async def interrupt_ids(http, thread):
    paused = await until_thread(http, thread, "interrupted")
    return [i["id"] for entries in paused["interrupts"].values() for i in entries]


async def test_run_start_creates_the_thread(http):
    thread = new_id()
    run = await start(http, thread, "linear", {"log": []})
    await until_status(http, thread, run, "success")
    assert (await get_thread(http, thread))["values"] == {"log": ["a", "b", "c"]}


async def test_run_start_takes_config_and_metadata(http, thread):
    run = await start(http, thread, "linear", {}, metadata={"m": 1}, config={"configurable": {"k": "v"}})
    record = await get_run(http, thread, run)
    assert record["metadata"]["m"] == 1
    assert record["kwargs"]["config"]["configurable"]["k"] == "v"


async def test_input_respond_resumes(http, thread):
    await start(http, thread, "ask", {"topic": "x"})
    (ident,) = await interrupt_ids(http, thread)
    params = {"namespace": [], "interrupt_id": ident, "response": "yes"}
    reply = await command(http, thread, "input.respond", params)
    assert (reply["type"], reply["result"]) == ("success", {})
    done = await until_thread(http, thread, "idle")
    assert done["values"]["log"] == ["prepare", "ask:yes", "finish"]


async def test_input_respond_with_an_update(http, thread):
    await start(http, thread, "ask", {"topic": "old"})
    (ident,) = await interrupt_ids(http, thread)
    params = {"interrupt_id": ident, "response": "r", "update": {"topic": "new"}}
    await command(http, thread, "input.respond", params)
    done = await until_thread(http, thread, "idle")
    assert (done["values"]["topic"], done["values"]["answer"]) == ("new", "r")


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("nope", {}, "unknown_command"),
        ("state.get", {"namespace": []}, "unknown_command"),
        ("input.inject", {}, "unknown_command"),
        ("run.start", {}, "invalid_argument"),
        ("run.start", {"assistant_id": "nope", "input": {}}, "unknown_error"),
        ("run.start", {"assistant_id": new_id(), "input": {}}, "unknown_error"),
        (
            "run.start",
            {"assistant_id": "linear", "config": {"configurable": {"checkpoint_id": "x"}}},
            "invalid_argument",
        ),
        ("input.respond", {}, "invalid_argument"),
        ("input.respond", {"responses": []}, "invalid_argument"),
        ("input.respond", {"interrupt_id": "x", "namespace": "y"}, "invalid_argument"),
        ("input.respond", {"interrupt_id": "x", "response": 1}, "no_such_interrupt"),
        ("agent.getTree", {}, "no_such_run"),
        ("subscription.subscribe", {"channels": ["bogus"]}, "invalid_argument"),
        ("subscription.unsubscribe", {"subscription_id": "x"}, "no_such_subscription"),
    ],
)
async def test_command_errors_are_200_with_an_error_reply(http, thread, method, params, error):
    reply = await command(http, thread, method, params, id=3)
    assert (reply["type"], reply["id"], reply["error"]) == ("error", 3, error)
    assert isinstance(reply["message"], str)
