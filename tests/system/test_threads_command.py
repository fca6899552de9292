"""`lineshaft threads export` and `delete`, on a server that runs: all of one person's data, and nobody else's."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.server import COMMAND, DevServer, clean_environment

pytestmark = pytest.mark.xdist_group("threads_command")
PROJECT = Path(__file__).parents[1] / "contract" / "resources_project" / "langgraph.json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("threads"), config=PROJECT) as server:
        yield server


@pytest.fixture
def http(server: DevServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as http:
        yield http


def threads(server: DevServer, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, "threads", *arguments],
        cwd=server.folder, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def created(http: httpx.Client, path: str, **body: Any) -> Any:
    response = http.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def talked(http: httpx.Client, graph: str, graph_input: Any, **metadata: Any) -> str:
    """A thread with a finished run and a waiting message."""
    thread_id: str = created(http, "/threads", metadata=metadata)["thread_id"]
    created(http, f"/threads/{thread_id}/runs/wait", assistant_id=graph, input=graph_input)
    created(http, f"/threads/{thread_id}/messages", role="user", content="and then?")
    return thread_id


def kinds(lines: list[dict[str, Any]]) -> list[str]:
    return [kind for line in lines for kind in line]


def test_an_export_has_all_of_one_value_and_nothing_else(server: DevServer, http: httpx.Client) -> None:
    counter = talked(http, "counter", {"total": 1}, user_id="ann")
    nested = talked(http, "nested", {"text": "t"}, user_id="ann")
    talked(http, "counter", {"total": 1}, user_id="bob")
    done = threads(server, "export", "--metadata", "user_id=ann")
    assert done.stderr == "exported 2 threads\n"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    starts = [n for n, line in enumerate(lines) if "thread" in line]
    first, second = lines[: starts[1]], lines[starts[1] :]
    assert kinds(first) == ["thread", "message", "run", "state", "state", "state", "state"]
    assert [first[0]["thread"]["thread_id"], second[0]["thread"]["thread_id"]] == sorted([counter, nested])
    assert first[1]["message"]["content"] == "and then?"
    assert first[3]["state"]["values"]["total"] == 12
    namespaces = {line["state"]["checkpoint"]["checkpoint_ns"].partition(":")[0] for line in second if "state" in line}
    assert namespaces == {"", "child"}
    shorter = threads(server, "export", "--metadata", '{"user_id": "ann"}', "--no-history").stdout.splitlines()
    assert kinds([json.loads(line) for line in shorter]) == ["thread", "message", "run"] * 2


def test_a_deletion_asks_first_and_removes_all_of_one_value(server: DevServer, http: httpx.Client) -> None:
    texts = [created(http, "/threads", metadata={"who": "7", "deep": {"x": n}})["thread_id"] for n in range(3)]
    number = created(http, "/threads", metadata={"who": 7})["thread_id"]
    other = created(http, "/threads", metadata={"who": "77"})["thread_id"]
    assert "Delete 4 threads" in threads(server, "delete", "--metadata", "who=7", code=1).stdout
    deep = threads(server, "delete", "--metadata", "who=7", "--metadata", '{"deep": {"x": 1}}', "--yes")
    assert deep.stdout == "deleted 1 thread\n"
    assert threads(server, "delete", "--metadata", "who=7", "--yes").stdout == "deleted 3 threads\n"
    assert [http.get(f"/threads/{thread_id}").status_code for thread_id in (*texts, number)] == [404] * 4
    assert http.get(f"/threads/{other}").status_code == 200
    assert threads(server, "delete", "--metadata", "who=7").stdout == "deleted 0 threads\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--metadata", "user"], "is not KEY=VALUE"),
        (["--metadata", "=x"], "is not KEY=VALUE"),
        (["--metadata", "{}"], "an empty object says nothing"),
        (["--metadata", "{x"], "is no JSON object"),
        (["--metadata", "a=1", "--metadata", "a=2"], "'a' is given twice"),
        ([], "--metadata"),
    ],
)
def test_conditions_that_say_nothing(server: DevServer, arguments: list[str], says: str) -> None:
    assert says in threads(server, "delete", "--yes", *arguments, code=2).stderr


def test_no_redis_is_one_line(server: DevServer, tmp_path: Path) -> None:
    done = threads(server, "export", "--metadata", "a=1", "--data-dir", str(tmp_path), code=1)
    assert done.stderr.startswith("Error: no Redis is named") and done.stderr.count("\n") == 1
