"""Probes answer from a thread: whatever the event loop or Redis does, an orchestrator hears the truth."""

import asyncio
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError
from lineshaft.health.loop_watch import LoopWatch
from lineshaft.health.probes import probing
from lineshaft.health.process import Health
from lineshaft.redis.client import Client
from lineshaft.telemetry.metrics import LOOP_STALLS
from tests.conftest import server_binary
from tests.shared.until import until
from tests.system.server import free_port


def told(port: int, path: str) -> tuple[int, Any]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, msgspec.json.decode(error.read())


async def ask(port: int, path: str) -> tuple[int, Any]:
    return await asyncio.to_thread(told, port, path)


def health(client: Client, **checks: Callable[[], str]) -> Health:
    return Health(client, LoopWatch("gateway"), checks)


def with_port(settings: Settings, **changes: Any) -> Settings:
    return msgspec.structs.replace(settings, lineshaft_probes_port=free_port(), **changes)


async def test_a_process_that_does_well_says_so(client: Client, settings: Settings) -> None:
    of_process = health(client, graphs=lambda: "")
    with probing(with_port(settings), of_process) as port:
        assert await ask(port, "/livez") == (200, {"alive": True})
        assert await ask(port, "/readyz") == (200, {"ready": True, "checks": {"graphs": "ok", "redis": "ok"}})
        assert await ask(port, "/startupz") == (503, {"detail": "Still starting"})
        of_process.has_started = True
        assert await ask(port, "/startupz?verbose") == (200, {"started": True})
        assert (await ask(port, "/metrics"))[0] == (await ask(port, "/"))[0] == 404


async def test_a_loop_that_stands_still_is_seen_from_outside_of_it(redis_uri: str) -> None:
    settings = with_port(Settings(redis_uri=redis_uri, lineshaft_livez_seconds=0.2))
    client = Client(settings)
    stalls = LOOP_STALLS.labels("gateway")
    before = stalls._value.get()
    found: list[tuple[int, Any]] = []

    def probe(port: int) -> None:
        while not found or found[-1][0] == 200:
            found.append(told(port, "/livez"))
        found.append(told(port, "/readyz"))

    with probing(settings, health(client)) as port:
        probing_thread = asyncio.get_running_loop().run_in_executor(None, probe, port)
        deadline = time.monotonic() + 60
        while len(found) < 2 or found[-2][0] == 200:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop stands still until the probe has seen it
            assert time.monotonic() < deadline
        await probing_thread
        assert found[-2][0] == 503
        assert "has not turned for" in found[-2][1]["detail"]
        assert found[-1] == (503, {"detail": "Not ready (the event loop does not answer)"})
        while await ask(port, "/livez") != (200, {"alive": True}):
            assert time.monotonic() < deadline
    assert stalls._value.get() >= before
    await client.close()


async def test_a_redis_that_is_away_takes_readiness_and_not_life() -> None:
    settings = with_port(Settings(redis_uri="unix:///nowhere.sock"))
    client = Client(settings)
    with probing(settings, health(client)) as port:
        status, said = await ask(port, "/readyz")
        assert status == 503
        assert said["detail"].startswith("Not ready (redis: ")
        assert (await ask(port, "/livez"))[0] == 200
    await client.close()


async def test_a_process_that_is_started_while_redis_is_away_waits_for_it(tmp_path: Path) -> None:
    """Orchestrators kill what does not start, and start it again ever more rarely: long after Redis is back."""
    folder = tempfile.mkdtemp(prefix="ls-")  # not pytest's: the path of a unix socket must be short
    settings = with_port(Settings(redis_uri=f"unix://{folder}/s"))
    client = Client(settings)
    of_process = health(client)
    with probing(settings, of_process) as port:
        waiting = asyncio.create_task(of_process.await_redis())

        async def waits() -> bool:
            return (await ask(port, "/startupz"))[0] == 200

        await until(waits, "it waits, and need not be killed for it")
        assert (await ask(port, "/livez"))[0] == 200
        assert (await ask(port, "/readyz"))[0] == 503
        argv = [server_binary(), "--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--dir", str(tmp_path)]
        server = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
        await asyncio.wait_for(waiting, 30)
        assert (await ask(port, "/startupz"))[0] == 503  # now it loads what it needs
        server.terminate()
        await server.wait()
    await client.close()
    shutil.rmtree(folder)


async def test_without_an_orchestrator_nobody_waits_for_redis() -> None:
    client = Client(Settings(redis_uri="unix:///nowhere.sock"))
    await health(client).await_redis()
    await client.close()


async def test_what_is_wrong_is_named(client: Client, settings: Settings) -> None:
    wrong = {"graphs": "not loaded", "draining": ""}
    checks = {name: lambda name=name: wrong[name] for name in wrong}
    with probing(with_port(settings), health(client, **checks)) as port:
        assert await ask(port, "/readyz") == (503, {"detail": "Not ready (graphs: not loaded)"})
        wrong.update(graphs="", draining="the worker is stopping")
        assert await ask(port, "/readyz") == (503, {"detail": "Not ready (draining: the worker is stopping)"})


async def test_redis_is_asked_once_for_many_probes(client: Client) -> None:
    of_process = health(client)
    await of_process.readiness()
    before = await client.redis.info("commandstats")
    await asyncio.gather(*(of_process.readiness() for _ in range(20)))
    after = await client.redis.info("commandstats")
    assert after["cmdstat_ping"]["calls"] == before["cmdstat_ping"]["calls"]


async def test_without_a_port_nothing_is_served(client: Client, settings: Settings) -> None:
    with probing(settings, health(client)) as port:
        assert port == 0


async def test_a_port_that_is_taken_is_a_configuration_error(client: Client, settings: Settings) -> None:
    settings = with_port(settings)
    with (
        probing(settings, health(client)),
        pytest.raises(ConfigError, match=r"cannot serve probes on 127\.0\.0\.1 port"),
        probing(settings, health(client)),
    ):
        pass
