"""Errors inside runs: what callers are told of them, what operators see, and what a setting keeps from callers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.errors import BadRequest, NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.failures import read_failure
from lineshaft.webhooks.calls import Webhooks
from lineshaft_worker.failure import NEUTRAL, without_errors
from lineshaft_worker.graphs import Graphs
from tests.shared import redis_state
from tests.shared.until import until
from tests.shared.whole_log import whole_log

from .asker import Asker
from .in_process import InProcessWorker, Office

MODES = ["values", "updates", "tasks", "debug", "checkpoints"]
TOLD = {"error": "ValueError", "message": "boom"}


@pytest.fixture
async def discreet(client: Client, settings: Settings, served: Graphs, office: Office) -> AsyncIterator[Client]:
    """A worker that keeps to itself what exceptions say; its client, with this setting."""
    masking = Client(Settings(**{**_fields(settings), "lineshaft_mask_errors": True}))
    worker = InProcessWorker(masking, served)
    assert office.client is client  # it closes after the worker
    await worker.start()
    yield masking
    await worker.close()
    await masking.close()


def _fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__struct_fields__}


async def fail(office: Office, **fields: Any) -> tuple[str, str]:
    thread = await office.thread()
    run = await office.start("failing", thread, {"log": []}, **fields)
    assert await office.ended(run) == "error"
    return thread, run


async def text_of_log(client: Client, thread: str) -> str:
    return b"\n".join(entry.data for entry in await whole_log(client, thread)).decode()


@pytest.mark.usefixtures("worker")
async def test_callers_are_told_what_an_exception_says(office: Office, client: Client) -> None:
    thread, _ = await fail(office)
    assert [json.loads(e.data) for e in await whole_log(client, thread) if e.event == "error"] == [TOLD]
    assert (await office.shown(thread))["error"] == TOLD


@pytest.mark.usefixtures("worker")
async def test_operators_see_the_stack_and_nobody_else(
    office: Office, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    thread, run = await fail(office, stream_mode=MODES)
    failure = await read_failure(client, run)
    assert {"error": failure.error, "message": failure.message} == TOLD
    assert "run_graphs.py" in failure.stack and "ValueError: boom" in failure.stack
    logged = ""

    def is_logged() -> bool:  # behind the end that others see
        nonlocal logged
        logged += capsys.readouterr().out
        return "run_graphs.py" in logged

    await until(is_logged, "the stack is in the log")
    assert "run_graphs.py" not in await text_of_log(client, thread) + json.dumps(await office.shown(thread))
    good = await office.start("linear", thread, {"log": []})
    assert await office.ended(good) == "success"
    with pytest.raises(NotFound):
        await read_failure(client, good)


async def test_what_callers_are_told_with_the_setting(office: Office, client: Client, discreet: Client) -> None:
    thread, run = await fail(office, stream_mode=MODES, webhook="http://example.com/hook")

    assert [json.loads(e.data) for e in await whole_log(client, thread) if e.event == "error"] == [NEUTRAL]
    shown = await office.shown(thread)
    assert (shown["status"], shown["error"]) == ("error", NEUTRAL)
    call, _ = await Webhooks(client).claim("q", 10)
    assert call is not None and json.loads(await Webhooks(client).body(call, 0))["error"] == NEUTRAL
    # It is nowhere but where operators look.
    places = [key for key, value in (await redis_state.read(client)).items() if "ValueError" in json.dumps(value)]
    assert [key for key in places if ":writes:" not in key] == [client.keys.run(run)]
    failure = await read_failure(discreet, run)
    assert failure.message == "boom"


async def test_the_state_of_a_failed_task_with_the_setting(office: Office, discreet: Client, served: Graphs) -> None:
    thread, _ = await fail(office)
    asker = Asker(discreet, served, office.worker)
    assert [task["error"] for task in (await asker.stored(thread))["tasks"]] == [NEUTRAL["message"]]
    state = await asker.ask("state", thread, "failing")
    assert [task["error"] for task in state["tasks"]] == [NEUTRAL["message"]]


async def test_what_we_say_ourselves_is_told_with_the_setting(
    office: Office, discreet: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await office.thread()
    assert discreet.settings.lineshaft_mask_errors
    monkeypatch.setattr("lineshaft_worker.checkpoint_codec._MAX_BYTES", 10)
    assert await office.run("large", thread, {"log": []}) == "error"
    error = (await office.shown(thread))["error"]
    assert error["error"] == "TooLarge" and "the limit of a checkpoint" in error["message"]


async def test_a_reducer_that_fails_with_the_setting(office: Office, discreet: Client, served: Graphs) -> None:
    await office.lease(office.worker)
    asker, thread = Asker(discreet, served, office.worker), await office.thread()
    with pytest.raises(BadRequest, match="Its operators can see why"):
        await asker.ask("update", thread, values={"log": 5}, as_node="a")


@pytest.mark.usefixtures("discreet")
async def test_events_of_a_failing_node_with_the_setting(office: Office, client: Client) -> None:
    thread, _ = await fail(office, stream_mode=["events"])
    assert "ValueError" not in await text_of_log(client, thread)


@pytest.mark.usefixtures("discreet")
async def test_a_run_of_protocol_v2_that_fails_with_the_setting(office: Office, client: Client) -> None:
    thread, _ = await fail(office, protocol_v2=True)
    assert [json.loads(e.data) for e in await whole_log(client, thread) if e.event == "error"] == [NEUTRAL]
    assert "ValueError" not in await text_of_log(client, thread)


@pytest.mark.parametrize(
    ("method", "told", "hidden"),
    [
        ("lifecycle", {"event": "failed", "error": "boom"}, {"event": "failed", "error": NEUTRAL["message"]}),
        ("lifecycle", {"event": "completed"}, {"event": "completed"}),
        ("tools", {"event": "tool-error", "message": "boom"}, {"event": "tool-error", "message": NEUTRAL["message"]}),
        ("tools", {"event": "tool-finished", "output": "boom"}, {"event": "tool-finished", "output": "boom"}),
        ("messages", ({"event": "error", "message": "a"}, {}), ({"event": "error", "message": NEUTRAL["message"]}, {})),
    ],
)  # fmt: skip
def test_what_only_protocol_v2_tells_of_errors(method: str, told: Any, hidden: Any) -> None:
    assert without_errors(method, told) == hidden
