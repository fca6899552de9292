"""What the processes of an installation write into their logs at LOG_LEVEL=DEBUG, and what they never do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client

from tests.system.fleet import Fleet, Part, Worker
from tests.system.server import COMMAND, START_PATIENCE, clean_environment, wait_until

pytestmark = pytest.mark.xdist_group("logs")
GRAPH = Path(__file__).parent / "graphs" / "confidant.json"
# Whatever has this in it must not be in any log.
SECRET = "planted"
REQUEST_ID = "request-of-the-run"


def lines(part: Part) -> list[dict[str, Any]]:
    """All that it has written. Raises for a line that is no JSON."""
    return [json.loads(line) for line in part.output.splitlines()]


@pytest.fixture(scope="module")
def logs() -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]], str, str]]:
    """Lines of the gateway and of the worker after all that callers do, the thread's id, and all output as text."""
    env = {
        "LOG_LEVEL": "DEBUG",
        "LINESHAFT_AUTH": "keys",
        "LINESHAFT_WEBHOOK_SECRET": f"{SECRET}-webhook",
        "LANGGRAPH_WEBHOOKS": f'{{"url": {{"disable_loopback": false, "require_https": false}},'
        f' "headers": {{"x-hook": "{SECRET}-hook"}}}}',
        "LANGGRAPH_HTTP": '{"logging_headers": {"includes": ["x-*"], "excludes": ["x-private"]}}',
    }
    with Fleet(env=env) as fleet:
        password = f"{SECRET}-redis"
        fleet.redis.execute_command("ACL", "SETUSER", "server", "on", f">{password}", "~*", "&*", "+@all")
        uri = f"unix://server:{password}@{fleet.folder}/s"
        made = subprocess.run(
            [*COMMAND, "keys", "create", "--name", "tests"],
            env=clean_environment({"REDIS_URI": uri}), capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        key = made.stdout.split()[0]
        gateway = fleet.gateway(REDIS_URI=uri)
        worker = fleet.worker(GRAPH, REDIS_URI=uri)
        wait_until(lambda: gateway.events("listening") and fleet.incarnations(), "all are up", START_PATIENCE)
        thread = call(fleet.url, key, worker)
        wait_until(lambda: len(worker.events("run ended")) == 6, "all runs have ended", START_PATIENCE)
        wait_until(
            lambda: worker.events("webhook not delivered, trying again"), "the webhook was tried", START_PATIENCE
        )
        outputs = [part.output for part in (gateway, worker, fleet.server)]
        yield lines(gateway), lines(worker), thread, "\n".join([*outputs, made.stderr]).replace(key, f"{SECRET}-key")


def call(url: str, key: str, worker: Worker) -> str:
    """Do everything once, well and badly; returns the thread of the first run."""
    headers = {
        "x-private": f"{SECRET}-header",
        "x-team": "red",
        "x-request-id": REQUEST_ID,
        "cookie": f"c={SECRET}-cookie",
    }
    secret = f"{SECRET}-input"
    with get_sync_client(url=url, api_key=key, headers=headers) as sdk:
        thread = str(sdk.threads.create(metadata={"m": f"{SECRET}-metadata"})["thread_id"])
        asked: Any = {"secret": secret, "url": f"{url}/ok"}
        for then in ("end", "fail", "ask"):
            for _ in sdk.runs.stream(
                thread, "confidant", input={**asked, "then": then}, stream_mode=["values", "debug"],
                config={"configurable": {"c": f"{SECRET}-configurable"}}, metadata={"m": f"{SECRET}-metadata"},
                webhook=f"http://127.0.0.1:9/{SECRET}-path?token={SECRET}-query" if then == "end" else None,
            ):  # fmt: skip
                pass
        sdk.runs.wait(thread, "confidant", command={"resume": f"{SECRET}-answer"})
        waiting = sdk.runs.create(thread, "confidant", input={**asked, "then": "wait"})
        wait_until(lambda: len(worker.events("run began")) == 5, "it waits", START_PATIENCE)
        sdk.runs.cancel(thread, waiting["run_id"], wait=True)
        sdk.threads.update_state(thread, {"secret": f"{SECRET}-state"}, as_node="use")
        sdk.store.put_item(["n"], key="k", value={"v": f"{SECRET}-item"})
        sdk.store.get_item(["n"], key="k")
        sdk.crons.create("confidant", schedule="0 0 1 1 *", input=asked)
    with httpx.Client(base_url=url, headers={"x-api-key": key, **headers}) as http:
        bad: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", f"/threads/{thread}/runs", {"content": f'{{"assistant_id": "{SECRET}-body'}),
            ("POST", f"/threads/{thread}/runs", {"json": {"assistant_id": f"{SECRET}-assistant"}}),
            ("POST", f"/threads/{thread}/runs", {"json": {"assistant_id": "confidant", "input": secret}}),
            ("POST", f"/threads/{thread}/state", {"json": {"values": secret, "as_node": f"{SECRET}-node"}}),
            ("POST", "/store/items/search", {"json": {"namespace_prefix": SECRET}}),
            ("PUT", "/store/items", {"json": {"namespace": ["", SECRET], "key": SECRET, "value": {}}}),
            ("GET", f"/threads/{SECRET}-id?q={SECRET}", {}),
            ("GET", f"/{SECRET}/nowhere?q={SECRET}", {}),
            (f"{SECRET.upper()}", "/ok", {}),
            ("PATCH", "/ok", {}),
            ("POST", "/mcp", {"json": {"jsonrpc": "2.0", "id": 1, "method": SECRET, "params": {"p": SECRET}}}),
            ("GET", "/threads/search", {"headers": {"x-api-key": f"lsk_000000000000_{SECRET}"}}),
            ("GET", "/threads/search", {"headers": {"authorization": f"Bearer {SECRET}-bearer", "x-api-key": ""}}),
        ]
        for method, path, rest in bad:
            assert http.request(method, path, **rest).status_code < 500
    return thread


def test_no_log_has_a_secret_or_anything_of_what_callers_send(
    logs: tuple[list[dict[str, Any]], list[dict[str, Any]], str, str],
) -> None:
    *_, everything = logs
    found = [line for line in everything.splitlines() if SECRET in line.lower()]
    assert not found, "\n".join(found)


def test_each_request_is_a_line_with_its_ids_and_the_headers_that_were_asked_for(
    logs: tuple[list[dict[str, Any]], list[dict[str, Any]], str, str],
) -> None:
    gateway, _, thread, _ = logs
    requests = [line for line in gateway if line["event"] == "request"]
    streams = [line for line in requests if line["route"] == "/threads/{thread_id}/runs/stream"]
    assert [(line["status"], line["method"], line["request_id"], line["thread_id"]) for line in streams] == [
        (200, "POST", REQUEST_ID, thread)
    ] * 3
    assert streams[0]["level"] == "debug"
    assert streams[0]["headers"] == {"x-team": "red", "x-request-id": REQUEST_ID}
    assert {401, 404, 405, 422} <= {line["status"] for line in requests}


def test_all_lines_of_a_run_say_which_it_is_also_those_of_the_graph_and_of_libraries(
    logs: tuple[list[dict[str, Any]], list[dict[str, Any]], str, str],
) -> None:
    _, worker, thread, _ = logs
    began = [line for line in worker if line["event"] == "run began"]
    names = ("run_id", "assistant_id", "worker")
    of_first = [line for line in worker if line.get("run_id") == began[0]["run_id"]]
    about = {name: began[0][name] for name in names} | {
        "thread_id": thread, "graph": "confidant", "queue": "runs", "attempt": 1, "request_id": REQUEST_ID,
    }  # fmt: skip
    said = {line["event"]: line for line in of_first}
    speakers = {
        "run began": "executor", "a thread of the graph speaks": "confidant", "a task of the graph speaks": "confidant",
        "run ended": "executor",
    }  # fmt: skip
    for event, speaker in speakers.items():
        line = said[event]
        assert {name: line[name] for name in about} == about, event
        assert speaker in (line.get("component"), line.get("logger")), event
    assert said["a thread of the graph speaks"]["wise"] is True
    assert any("old things are used" in event and said[event]["logger"] == "py.warnings" for event in said)
    ended = [line for line in worker if line["event"] == "run ended"]
    assert [line["status"] for line in ended] == ["success", "error", "success", "success", "interrupted", "error"]
    assert all(line["seconds"] >= 0 for line in ended)
    by_graph, by_langgraph = (line["exception"] for line in worker if line["event"] == "run failed")
    assert "RuntimeError: it does not work" in by_graph  # what the user's own code says is in their log
    assert "InvalidUpdateError: (values left out)" in by_langgraph


def test_at_a_terminal_and_without_json_a_line_is_for_people() -> None:
    code = (
        "import logging, sys; from lineshaft.telemetry import log\n"
        "sys.stderr.isatty = lambda: sys.argv[1] == 'tty'\n"
        "log.configure(worker='w1')\n"
        "with log.bound(request_id='r1', run_id='x1', empty=''):\n"
        "    log.get('part').info('spoken', n=1)\n"
        "    logging.getLogger('lib').info('answered')\n"
        "    logging.getLogger('lib').debug('no')\n"
    )
    shown = {
        kind: subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, check=True).stderr
        for kind in ("tty", "pipe")
    }
    assert all("spoken" in text and "answered" in text and "x1" in text for text in shown.values())
    assert all("no" not in text.split() and "empty" not in text for text in shown.values())
    assert ["w1" in text and "r1" in text for text in (shown["tty"], shown["pipe"])] == [False, True]
