"""`lineshaft dev` on a host without a network: it starts, serves, and does not even try to reach anybody."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.in_isolation import walk
from tests.system.server import DevServer, clean_environment

ROOT = Path(__file__).parents[2]
# Python runs this at every start. It refuses, and writes down, what would leave the host: connections by Python's own
# sockets, and questions for addresses.
REFUSE = """
import os, sys

def refuse(event, args):
    host = None
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    if isinstance(host, bytes):
        host = host.decode()
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        with open(os.environ["ATTEMPTS"], "a") as attempts:
            attempts.write(f"{event} {host}\\n")
        raise OSError(f"refused by the test: {event} {host}")

sys.addaudithook(refuse)
"""


def test_it_serves_where_there_is_no_network() -> None:
    program = ["unshare", "--net", "--map-root-user"]
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        message = "needs `unshare` and `ip`: apt-get install util-linux iproute2"
        pytest.fail(message) if os.environ.get("CI") and sys.platform == "linux" else pytest.skip(message)
    if subprocess.run([*program, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this host does not let us make network namespaces")
    ended = subprocess.run(
        [*program, sys.executable, "-m", "tests.system.in_isolation"],
        check=False,
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=90,  # seconds: a start and a run take five
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert "42" in told["answer"]
    assert told["docs"] == 200
    assert told["events"] == ["metadata", "values"]
    assert told["fields"] == ["messages"]


def test_it_does_not_try_to_reach_anybody(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    attempts = tmp_path / "attempts"
    env = {"PYTHONPATH": str(tmp_path), "ATTEMPTS": str(attempts)}
    proof = "import socket; socket.create_connection(('192.0.2.1', 9))"
    proving = subprocess.run([sys.executable, "-c", proof], check=False, env={**os.environ, **env}, capture_output=True)
    assert b"refused by the test" in proving.stderr
    attempts.unlink()
    with DevServer(tmp_path, env=env) as server:
        told = walk(server)
        assert "42" in str(told["answer"])
        assert told["events"] == ["metadata", "values"]
        assert server.stop() == 0
    assert not attempts.exists(), attempts.read_text()
