"""`lineshaft dev`, `gateway` and `worker` as people run them."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from lineshaft import __version__
from tests.conftest import server_binary
from tests.system.server import COMMAND, DevServer, Program, clean_environment, free_port, is_alive, wait_until

Dev = Callable[..., DevServer]


def run(folder: Path, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that is expected to end by itself."""
    return subprocess.run(
        [*COMMAND, *args],
        check=False,
        cwd=folder,
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=30,
    )


def create_thread(server: DevServer) -> str:
    return str(httpx.post(f"{server.url}/threads", json={}).raise_for_status().json()["thread_id"])


def has_thread(server: DevServer, thread_id: str) -> bool:
    """Also while its gateway or its Redis is not back yet."""
    try:
        return httpx.get(f"{server.url}/threads/{thread_id}", timeout=5).is_success
    except httpx.TransportError:
        return False


def test_it_starts_says_what_runs_where_and_stops_without_a_trace(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with DevServer(tmp_path, env={"TMPDIR": str(temporary)}) as server:
        assert httpx.get(f"{server.url}/ok").json()["ok"] is True
        for line in (
            f"Lineshaft {__version__}, serving the demo",
            "Valkey 9",
            "data in .lineshaft",
            "Graph      chat (",
            "Graph      digest (",
            f"API        {server.url}",
            f"Docs       {server.url}/docs",
            f"https://smith.langchain.com/studio/?baseUrl={server.url}",
            f"https://agentchat.vercel.app/?apiUrl={server.url}&assistantId=",
        ):
            assert line in server.output
        pids = server.pids()
        assert len(pids) >= 4
        began = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 5
    assert not any(is_alive(pid) for pid in pids)
    assert not list(temporary.iterdir())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", server.port))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([".lineshaft", "temporary", server.log.name])


def test_data_survive_a_restart(tmp_path: Path) -> None:
    with DevServer(tmp_path) as server:
        thread = create_thread(server)
        assert server.stop() == 0
    with DevServer(tmp_path) as server:
        assert has_thread(server, thread)


def test_after_sigkill_nothing_is_left_and_a_new_one_waits_for_the_old_redis(tmp_path: Path, short_path: Path) -> None:
    temporary = short_path
    with DevServer(tmp_path, env={"TMPDIR": str(temporary)}) as old:
        thread = create_thread(old)
        pids = old.pids()
        (redis,) = old.find("redis")
        os.kill(redis, signal.SIGSTOP)  # it will hear of its end when it goes on
        old.kill()
        wait_until(lambda: [pid for pid in pids if is_alive(pid)] == [redis], "all but Redis are gone")
    new = DevServer(tmp_path, env={"TMPDIR": str(temporary)}).start()
    try:
        new.wait_for_output(f"data directory .lineshaft is in use by pid {redis}, waiting for it to stop")
        assert not new.find("redis")
        os.kill(redis, signal.SIGCONT)
        new.wait_until_ready()
        assert not is_alive(redis)
        assert has_thread(new, thread)
        assert len(list(temporary.iterdir())) == 1  # the old one's is gone
    finally:
        assert new.stop() == 0
    assert not list(temporary.iterdir())


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's: `tmp_path` does not, in one of several test processes."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


def wait_until_replaced(server: DevServer, part: str, pid: int) -> None:
    wait_until(lambda: server.find(part) not in ([], [pid]), f"there is a new {part}")


def test_what_dies_is_started_again(tmp_path: Path) -> None:
    with DevServer(tmp_path) as server:
        thread = create_thread(server)
        for part, name in (("gateway", "gateway"), ("worker", "worker"), ("redis", "Redis")):
            (pid,) = server.find(part)
            os.kill(pid, signal.SIGKILL)
            server.wait_for_output(f"{name} stopped (SIGKILL), starting it again in 1 s")
            wait_until_replaced(server, part, pid)
        wait_until(lambda: has_thread(server, thread), "it serves again", 20)
        assert server.stop() == 0


def test_a_signal_while_it_starts(tmp_path: Path) -> None:
    """Here while its Redis loads its data, for ever."""
    slow = tmp_path / "bin" / "valkey-server"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\necho "Valkey server v=9.0.0"\n[ "$1" = --version ] || sleep 1000\n')
    slow.chmod(0o755)
    env = {"PATH": f"{slow.parent}:{os.environ['PATH']}"}
    server = DevServer(tmp_path, env=env).start()
    server.wait_for_output("Redis is loading its data")
    pids = server.pids()
    assert len(pids) >= 2
    assert server.stop() == 0
    assert not any(is_alive(pid) for pid in pids)


def test_a_reader_of_its_output_that_has_gone_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    argv = [*COMMAND, "dev", "--port", str(free_port())]
    with subprocess.Popen(
        argv, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        while b"ready in" not in process.stdout.readline():
            assert process.poll() is None
        process.stdout.close()
        process.terminate()
        assert process.wait(15) == 0


def test_a_data_directory_that_is_in_use(dev: Dev) -> None:
    with dev() as server:
        second = run(server.folder, "dev", "--port", str(free_port()))
        assert second.returncode == 1
        assert second.stderr == f"Error: data directory .lineshaft is in use by pid {server.pid}\n"


def test_a_port_that_is_taken_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run(tmp_path, "dev", "--port", str(port))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: port {port} on 127.0.0.1 is in use")
    assert not list(tmp_path.iterdir())


def test_another_host_needs_no_auth(tmp_path: Path) -> None:
    ended = run(tmp_path, "dev", "--host", "0.0.0.0", "--port", str(free_port()))
    assert ended.returncode == 1
    assert "--no-auth" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "does not exist"),
        ('{"graphs": {\n  "agent": here}\n}', "line 2, column 12"),
        ('{"graphs": {}}', '"graphs" is missing or empty'),
    ],
)
def test_a_wrong_config_is_one_line(tmp_path: Path, text: str | None, complaint: str) -> None:
    config = tmp_path / "langgraph.json"
    if text is not None:
        config.write_text(text)
    for verb in ("dev", "worker", "gateway"):
        ended = run(tmp_path, verb, "--config", str(config))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"Error: {config}")
        assert complaint in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert not (tmp_path / ".lineshaft").exists()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def evicting_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    argv = [server_binary(), "--port", str(port := free_port()), "--maxmemory-policy", "allkeys-lru", "--save", ""]
    with Program(argv, folder):
        wait_until(lambda: listens(port), "it listens")
        yield f"redis://127.0.0.1:{port}"


def test_a_redis_that_evicts_is_refused(tmp_path: Path, evicting_redis: str) -> None:
    ended = run(tmp_path, "dev", "--port", str(free_port()), "--redis-uri", evicting_redis)
    assert ended.returncode == 1
    assert "evicts keys (maxmemory-policy allkeys-lru)" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_redis_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = run(tmp_path, "dev", "--port", str(free_port()), REDIS_URI=f"redis://127.0.0.1:{free_port()}")
    assert ended.returncode == 1
    assert "is not reachable" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_given_redis_is_used(dev: Dev, redis_uri: str) -> None:
    with dev("--redis-uri", redis_uri) as server:
        assert f"at {redis_uri}" in server.output
        assert not server.find("redis")
        assert server.stop() == 0
    assert not (server.folder / ".lineshaft").exists()


def test_the_environment_of_the_config_stands_under_the_real_one(tmp_path: Path) -> None:
    """And what has no effect is said, not refused."""
    config = tmp_path / "langgraph.json"
    nobody = f"redis://127.0.0.1:{free_port()}"
    document = {"graphs": {"a": "./a.py:graph"}, "env": {"REDIS_URI": nobody, "CORS_CONFIG": "{}"}, "ui": {}}
    config.write_text(json.dumps(document))
    args = ["dev", "--port", str(free_port())]
    ended = run(tmp_path, *args)
    assert nobody in ended.stderr
    assert '"ui" has no effect' in ended.stdout
    assert "CORS_CONFIG is set, but has no effect" in ended.stdout
    assert nobody not in run(tmp_path, *args, REDIS_URI="redis://127.0.0.1:1").stderr
    wrong = run(tmp_path, *args, N_JOBS_PER_WORKER="many")
    assert wrong.stderr.startswith("Error: environment variable N_JOBS_PER_WORKER='many'")
    config.write_text(json.dumps({**document, "webhooks": {"headers": {"X-Token": "${{ env.LG_WEBHOOK_T }}"}}}))
    assert "environment variable LG_WEBHOOK_T is not set" in run(tmp_path, *args).stderr
    assert nobody in run(tmp_path, *args, LG_WEBHOOK_T="t").stderr


def test_a_gateway_of_its_own(tmp_path: Path, redis_uri: str) -> None:
    port = free_port()
    argv = [*COMMAND, "gateway", "--port", str(port)]
    with Program(argv, tmp_path, env={"REDIS_URI": redis_uri}) as gateway:
        gateway.wait_for_output("listening")
        assert httpx.get(f"http://127.0.0.1:{port}/ok").json()["ok"] is True
        assert gateway.pids() == [gateway.pid]
        assert gateway.stop() == 0


def test_the_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"lineshaft {__version__}\n"
