"""`lineshaft validate`, `openapi` and `doctor`: what they find, and that each finding says what to do."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lineshaft.cli.doctor import findings, persistence
from lineshaft.redis.client import Client
from tests.system.server import COMMAND, DevServer, clean_environment

GRAPH = """
from langgraph.graph import MessagesState, StateGraph
graph = StateGraph(MessagesState).add_node("n", lambda state: {}).add_edge("__start__", "n").compile()
"""
APP = "from tests.api.custom_apps import *\napp = starlette()\n"


def run(folder: Path, *args: str, **env: str) -> tuple[int, str, str]:
    # The applications of our tests are found from the repository.
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = subprocess.run(
        [*COMMAND, *args], cwd=folder, env=clean_environment({**paths, **env}), capture_output=True, text=True,
        check=False, timeout=90,  # seconds; langgraph takes some to load
    )  # fmt: skip
    return command.returncode, command.stdout, command.stderr


def project(folder: Path, **more: Any) -> None:
    (folder / "agent.py").write_text(GRAPH)
    (folder / "webapp.py").write_text(APP)
    (folder / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./agent.py:graph"}, **more}))


def test_a_sound_project_is_valid(tmp_path: Path) -> None:
    project(tmp_path, http={"app": "./webapp.py:app"}, ui={})
    code, out, err = run(tmp_path, "validate", METRIC_PREFIX="x")
    assert code == 0, out + err
    assert [line.split()[0] for line in out.splitlines()] == ["ok", "note", "note", "ok", "ok"]
    assert "graph a loads in" in out
    assert "all schemas" not in out  # it has no context
    assert "ok     http.app loads" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"graphs": {"a": "./agent.py:other"}}, "wrong  graph a: "),
        ({"http": {"app": "./nowhere.py:app"}}, "wrong  http.app: "),
        ({"auth": {"path": "./webapp.py:app"}}, "wrong  auth.path: "),
        ({"store": {"index": {"embed": "./agent.py:nothing", "dims": 2}}}, "wrong  "),
        ({"http": {"mount_prefix": "/"}}, "mount_prefix"),
    ],
)
def test_what_would_keep_a_server_from_starting_is_said_in_a_line(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    project(tmp_path, **more)
    code, out, err = run(tmp_path, "validate")
    assert code == 1
    assert any(said in line for line in (out + err).splitlines()), out + err
    assert "Traceback" not in out + err


def test_the_document_is_written_without_a_server(tmp_path: Path) -> None:
    project(tmp_path, http={"app": "./webapp.py:app", "disable_store": True})
    code, out, err = run(tmp_path, "openapi")
    assert code == 0, err
    paths = json.loads(out)["paths"]
    assert "/custom/hello" in paths
    assert "/threads" in paths
    assert "/store/items" not in paths


def test_a_healthy_server_has_nothing_wrong(tmp_path: Path) -> None:
    project(tmp_path)
    with DevServer(tmp_path, config=tmp_path / "langgraph.json"):
        code, out, err = run(tmp_path, "doctor")
    assert code == 0, out + err
    found = {line.split()[1].rstrip(":"): line.split()[0] for line in out.splitlines()}
    assert found == {
        "version": "ok", "persistence": "ok", "eviction": "ok", "memory": "warn", "clock": "ok", "latency": "ok",
        "keys": "ok", "workers": "ok", "graph": "ok", "auth": "warn",
    }  # fmt: skip


def test_a_redis_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    project(tmp_path)
    code, out, err = run(tmp_path, "doctor", "--redis-uri", "redis://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert "is not reachable" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("info", "how", "cure"),
    [
        ({"aof_enabled": 0}, "warn", "CONFIG SET appendonly yes"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "wrong", "look at the disk"),
        ({"aof_enabled": 1, "aof_last_write_status": "ok"}, "ok", ""),
    ],
)
def test_what_dies_with_redis_is_said(info: dict[str, Any], how: str, cure: str) -> None:
    found = persistence(info)
    assert found.how == how
    assert cure in found.what


async def test_what_is_wrong_says_what_to_do(client: Client) -> None:
    await client.command("SET", "foreign", "1")
    await client.command("CONFIG", "SET", "maxmemory", 1 << 20)
    try:
        found = {
            what.partition(":")[0]: (how, what) async for how, what in findings(client, {"LINESHAFT_AUTH": "keys"})
        }
    finally:
        await client.command("CONFIG", "SET", "maxmemory", 0)
    assert found["workers"] == (
        "wrong",
        "workers: 0 with 0 slots, 0 runs under way, 0 waiting: start one with `lineshaft worker`",
    )
    assert found["auth"][0] == "wrong"
    assert found["memory"][0] == found["keys"][0] == "warn"
    assert found["keys"][1].endswith("1 without a time to live that are not ours, or left by mistake: foreign")
    await client.command("DEL", "foreign")
