"""`lineshaft keys` on a server that runs, and a server that other machines may reach."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_sync_client

from tests.system.server import COMMAND, DevServer, clean_environment, wait_until


def keys(server: DevServer, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, "keys", *arguments],
        cwd=server.folder, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_with_keys_a_server_may_be_reached_from_elsewhere_and_a_revoked_key_opens_nothing(tmp_path: Path) -> None:
    with DevServer(tmp_path, "--host", "0.0.0.0", env={"LINESHAFT_AUTH": "keys"}) as server:
        assert httpx.post(f"{server.url}/threads", json={}).status_code == 401
        token = keys(server, "create", "--name", "tests")
        with get_sync_client(url=server.url, api_key=token) as client:
            thread = client.threads.create()
            asked: Any = {"messages": [{"role": "user", "content": "what is 12 * 7?"}]}
            values = client.runs.wait(thread["thread_id"], "chat", input=asked)
            assert "84" in str(values)
        key_id = token.split("_")[1]
        assert key_id in keys(server, "list")
        keys(server, "revoke", key_id)
        headers = {"X-Api-Key": token}
        # 5 s in a gateway's memory, and as long again for a busy machine.
        wait_until(
            lambda: httpx.post(f"{server.url}/threads", json={}, headers=headers).status_code == 401, "it is refused"
        )


def test_studio_needs_no_key_for_a_server_of_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "auth.py").write_text(
        "from langgraph_sdk import Auth\nfrom words import SAYS\nauth = Auth()\n"
        "@auth.authenticate\nasync def who():\n    raise Auth.exceptions.HTTPException(status_code=401, detail=SAYS)\n"
    )
    (tmp_path / "words.py").write_text("SAYS = 'not you'\n")  # found beside it, as for graphs
    (tmp_path / "graph.py").write_text(
        "from langgraph.graph import MessagesState, StateGraph\n"
        "graph = StateGraph(MessagesState).add_node('n', lambda s: s).add_edge('__start__', 'n').compile()\n"
    )
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"g": "./graph.py:graph"}, "auth": {"path": "./auth.py:auth"}}')
    studio = {"x-auth-scheme": "langsmith"}
    for host, expected in (("127.0.0.1", 200), ("0.0.0.0", 401)):
        with DevServer(tmp_path, "--host", host, config=config) as server:
            search = httpx.post(f"{server.url}/threads/search", json={}, headers=studio)
            assert search.status_code == expected
            refused = httpx.post(f"{server.url}/threads/search", json={})
            assert (refused.status_code, refused.json()) == (401, {"detail": "not you"})
