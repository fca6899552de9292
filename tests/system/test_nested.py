"""Runs that wait for runs of the same server, on one worker with one slot: waiting for a second one they would hang."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.system.cell import KEYS, connected
from tests.system.journal import CONFIG, until
from tests.system.server import DevServer, descendants

pytestmark = pytest.mark.xdist_group("nested")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    env = {"N_JOBS_PER_WORKER": "1"}
    with DevServer(tmp_path_factory.mktemp("nested"), config=CONFIG, env=env) as server:
        yield server


def request(server: DevServer, depth: int, width: int = 1, gate: Path | None = None) -> dict[str, Any]:
    return {"url": server.url, "depth": depth, "width": width, "gate": str(gate) if gate else None, "visits": 0}


async def test_a_chain_of_eight_levels_comes_to_its_end(
    server: DevServer, sdk: LangGraphClient, thread_id: str
) -> None:
    result: Any = await sdk.runs.wait(thread_id, "nest", input=request(server, depth=8))
    assert result["visits"] == 9


async def test_a_chain_that_is_too_deep_is_told_so(server: DevServer, sdk: LangGraphClient, thread_id: str) -> None:
    result: Any = await sdk.runs.wait(thread_id, "nest", input=request(server, depth=9), raise_error=False)
    assert "nested 8 deep" in result["__error__"]["message"]


async def test_many_at_once_share_the_slots(server: DevServer, sdk: LangGraphClient) -> None:
    runs = [
        await sdk.runs.create(None, "nest", input=request(server, depth=3, width=3), on_completion="keep")
        for _ in range(3)
    ]
    for run in runs:
        await sdk.runs.join(run["thread_id"], run["run_id"])
        assert (await sdk.runs.get(run["thread_id"], run["run_id"]))["status"] == "success"


async def test_a_chain_whose_worker_dies_goes_on(
    server: DevServer, sdk: LangGraphClient, thread_id: str, tmp_path: Path
) -> None:
    """Those above ask again, and their new runs wait for the old ones on the same threads, which go on too."""
    gate = tmp_path / "gate"
    run = await sdk.runs.create(thread_id, "nest", input=request(server, depth=2, gate=gate))
    with connected(server) as client:
        await until(lambda: client.zcard(KEYS.queue("overflow")) == 2, "both runs below are under way")
        [parent] = server.find("worker")
        [child] = [p.pid for p in descendants(parent) if "lineshaft_worker.child" in p.command]
        os.kill(child, signal.SIGKILL)
        gate.touch()
        await sdk.runs.join(thread_id, run["run_id"])
        assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "success"
        await until(lambda: client.zcard(KEYS.queue("overflow")) == 0, "nothing is left of it")
        assert client.zcard(KEYS.queue("runs")) == 0
